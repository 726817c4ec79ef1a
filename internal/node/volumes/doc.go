// Package volumes prepares the volumes of pods on the node's disk and takes
// them away again.
//
// It owns <root>/pods/<uid>/ and the tmpfs at <root>/memory, on which
// everything secret lies, so that no Secret reaches a disk. Files that come
// from objects are written as a whole into a new folder and then switched by
// one rename of the link ..data, so that a reader sees the old set or the new
// one and never a mixture; they change when their object does. Mount is
// idempotent: it is also how a change is carried to disk. A path inside a
// volume (subPath) is opened below the volume's root only, whatever links a
// container has laid there, and bound by file descriptor.
package volumes
