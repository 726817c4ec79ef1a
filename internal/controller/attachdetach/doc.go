// Package attachdetach keeps the records of volumes that CSI drivers attach to
// nodes: a VolumeAttachment for each volume that a node's pods need and whose
// driver asks for one (CSIDriver.spec.attachRequired), and the node's
// status.volumesAttached, of those that the driver reports as attached.
//
// plan.go is pure, node by node. The controller creates and deletes
// VolumeAttachments of its own names (csi-HASH) and writes volumesAttached; the
// driver's attacher writes their status. What a node has mounted
// (status.volumesInUse) stays attached, until the node is out of service, or
// has not been healthy, or not been there, for six minutes. A volume that one
// node may have at a time is attached elsewhere only when it is detached.
package attachdetach
