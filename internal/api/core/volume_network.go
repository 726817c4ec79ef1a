package core

import (
	"regexp"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func gceDisk(s *corev1.GCEPersistentDiskVolumeSource, at *field.Path) field.ErrorList {
	errs := requiredIf(s.PDName == "", at.Child("pdName"))
	return append(errs, partition(s.Partition, at)...)
}

func awsDisk(s *corev1.AWSElasticBlockStoreVolumeSource, at *field.Path) field.ErrorList {
	errs := requiredIf(s.VolumeID == "", at.Child("volumeID"))
	return append(errs, partition(s.Partition, at)...)
}

func partition(n int32, at *field.Path) field.ErrorList {
	if n < 0 || n > 255 { // the text has another lower bound, as upstream's
		return field.ErrorList{field.Invalid(at.Child("partition"), n, validation.InclusiveRangeError(1, 255))}
	}
	return nil
}

func nfs(s *corev1.NFSVolumeSource, at *field.Path) field.ErrorList {
	errs := requiredIf(s.Server == "", at.Child("server"))
	errs = append(errs, requiredIf(s.Path == "", at.Child("path"))...)
	if !strings.HasPrefix(s.Path, "/") {
		errs = append(errs, field.Invalid(at.Child("path"), s.Path, "must be an absolute path"))
	}
	return errs
}

// iscsi is what pods and volumes say of an iSCSI target alike.
type iscsi struct {
	portal, iqn   string
	initiator     *string
	lun           int32
	authenticates bool
	secret        bool
	// wrongPrefix is said of a name that is of no known kind.
	wrongPrefix string
}

const wrongIQN = "must be valid format"

func iscsiVolume(s *corev1.ISCSIVolumeSource, at *field.Path) field.ErrorList {
	t := iscsi{portal: s.TargetPortal, iqn: s.IQN, initiator: s.InitiatorName, lun: s.Lun,
		authenticates: s.DiscoveryCHAPAuth || s.SessionCHAPAuth, secret: s.SecretRef != nil,
		wrongPrefix: wrongIQN + " starting with iqn, eui, or naa"}
	return t.check(at)
}

func persistentISCSI(s *corev1.ISCSIPersistentVolumeSource, volume string, at *field.Path) field.ErrorList {
	const most = 64
	t := iscsi{portal: s.TargetPortal, iqn: s.IQN, initiator: s.InitiatorName, lun: s.Lun,
		authenticates: s.DiscoveryCHAPAuth || s.SessionCHAPAuth, secret: s.SecretRef != nil, wrongPrefix: wrongIQN}
	errs := t.check(at)
	if s.InitiatorName != nil && len(volume+":"+s.TargetPortal) > most {
		errs = append(errs, field.Invalid(at.Child("targetportal"), s.TargetPortal,
			"Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."))
	}
	if s.SecretRef != nil {
		errs = append(errs, requiredIf(s.SecretRef.Name == "", at.Child("secretRef", "name"))...)
	}
	return errs
}

func (t iscsi) check(at *field.Path) field.ErrorList {
	errs := requiredIf(t.portal == "", at.Child("targetPortal"))
	if t.iqn == "" {
		errs = append(errs, field.Required(at.Child("iqn"), ""))
	} else {
		errs = append(errs, t.name(t.iqn, at.Child("iqn"))...)
	}
	errs = append(errs, validate.InRange(t.lun, 0, 255, at.Child("lun"))...)
	if t.authenticates && !t.secret {
		errs = append(errs, field.Required(at.Child("secretRef"), ""))
	}
	if t.initiator != nil {
		errs = append(errs, t.name(*t.initiator, at.Child("initiatorname"))...)
	}
	return errs
}

// iscsiNames are the forms of RFC 3720: a qualified name, an EUI-64 and an NAA
// number, as strict as upstream reads them.
var iscsiNames = sync.OnceValue(func() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"iqn": regexp.MustCompile(`iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`),
		"eui": regexp.MustCompile(`^eui.[[:alnum:]]{16}$`),
		"naa": regexp.MustCompile(`^naa.[[:alnum:]]{32}$`),
	}
})

func (t iscsi) name(name string, at *field.Path) field.ErrorList {
	form := iscsiNames()[name[:min(len(name), len("iqn"))]]
	switch {
	case form == nil:
		return field.ErrorList{field.Invalid(at, name, t.wrongPrefix)}
	case !form.MatchString(name):
		return field.ErrorList{field.Invalid(at, name, wrongIQN)}
	}
	return nil
}

func glusterfs(endpoints, path string, at *field.Path) field.ErrorList {
	return append(requiredIf(endpoints == "", at.Child("endpoints")), requiredIf(path == "", at.Child("path"))...)
}

func glusterfsNamespace(name *string, at *field.Path) field.ErrorList {
	switch {
	case name == nil:
		return nil
	case *name == "":
		return field.ErrorList{field.Invalid(at, *name, "if the endpointnamespace is set, it must be a valid namespace name")}
	}
	return validate.DNS1123Label(*name, at)
}

func flocker(s *corev1.FlockerVolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case s.DatasetName == "" && s.DatasetUUID == "":
		errs = append(errs, field.Required(at, "one of datasetName and datasetUUID is required"))
	case s.DatasetName != "" && s.DatasetUUID != "":
		errs = append(errs, field.Invalid(at, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
	}
	if strings.Contains(s.DatasetName, "/") {
		errs = append(errs, field.Invalid(at.Child("datasetName"), s.DatasetName, "must not contain '/'"))
	}
	return errs
}

// flexVolume keeps options of the cluster's own from being set by users.
func flexVolume(driver string, options map[string]string, at *field.Path) field.ErrorList {
	errs := requiredIf(driver == "", at.Child("driver"))
	for _, key := range sortedKeys(options) {
		domain, _, _ := strings.Cut(key, "/")
		domain = "." + strings.ToLower(domain)
		if strings.HasSuffix(domain, ".kubernetes.io") || strings.HasSuffix(domain, ".k8s.io") {
			errs = append(errs, field.Invalid(at.Child("options").Key(key), key, "kubernetes.io and k8s.io namespaces are reserved"))
		}
	}
	return errs
}

func rbd(monitors []string, image string, at *field.Path) field.ErrorList {
	return append(requiredIf(len(monitors) == 0, at.Child("monitors")), requiredIf(image == "", at.Child("image"))...)
}

func quobyte(s *corev1.QuobyteVolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Registry == "" {
		errs = append(errs, field.Required(at.Child("registry"), "must be a host:port pair or multiple pairs separated by commas"))
	} else {
		for _, pair := range strings.Split(s.Registry, ",") {
			if host, port, ok := strings.Cut(pair, ":"); !ok || host == "" || port == "" {
				errs = append(errs, field.Invalid(at.Child("registry"), s.Registry,
					"must be a host:port pair or multiple pairs separated by commas"))
			}
		}
	}
	return append(errs, requiredIf(s.Volume == "", at.Child("volume"))...)
}

func fibreChannel(s *corev1.FCVolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(s.TargetWWNs) == 0 && len(s.WWIDs) == 0 {
		errs = append(errs, field.Required(at.Child("targetWWNs"), "must specify either targetWWNs or wwids, but not both"))
	}
	if len(s.TargetWWNs) != 0 && len(s.WWIDs) != 0 {
		errs = append(errs, field.Invalid(at.Child("targetWWNs"), s.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously"))
	}
	if len(s.TargetWWNs) == 0 {
		return errs
	}
	if s.Lun == nil {
		return append(errs, field.Required(at.Child("lun"), "lun is required if targetWWNs is specified"))
	}
	return append(errs, validate.InRange(*s.Lun, 0, 255, at.Child("lun"))...)
}

func azureFile(secret, share string, at *field.Path) field.ErrorList {
	return append(requiredIf(secret == "", at.Child("secretName")), requiredIf(share == "", at.Child("shareName"))...)
}

func azureDisk(s *corev1.AzureDiskVolumeSource, at *field.Path) field.ErrorList {
	errs := requiredIf(s.DiskName == "", at.Child("diskName"))
	errs = append(errs, requiredIf(s.DataDiskURI == "", at.Child("diskURI"))...)
	if s.CachingMode != nil {
		errs = append(errs, validate.OneOf(*s.CachingMode, at.Child("cachingMode"),
			corev1.AzureDataDiskCachingNone, corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)...)
	}
	if s.Kind == nil {
		return errs
	}
	errs = append(errs, validate.OneOf(*s.Kind, at.Child("kind"),
		corev1.AzureSharedBlobDisk, corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk)...)
	managed := *s.Kind == corev1.AzureManagedDisk
	prefix := "https://"
	if managed {
		prefix = "/subscriptions/"
	}
	if !strings.HasPrefix(strings.ToLower(s.DataDiskURI), prefix) {
		supported := []string{"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"}
		if managed {
			supported = []string{"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"}
		}
		errs = append(errs, field.NotSupported(at.Child("diskURI"), s.DataDiskURI, supported))
	}
	return errs
}

func storageOS(volume, namespace string, at *field.Path) field.ErrorList {
	errs := requiredIf(volume == "", at.Child("volumeName"))
	if volume != "" {
		errs = append(errs, validate.DNS1123Label(volume, at.Child("volumeName"))...)
	}
	if namespace != "" {
		errs = append(errs, validate.DNS1123Label(namespace, at.Child("volumeNamespace"))...)
	}
	return errs
}

func scaleIO(gateway, system, volume string, at *field.Path) field.ErrorList {
	errs := requiredIf(gateway == "", at.Child("gateway"))
	errs = append(errs, requiredIf(system == "", at.Child("system"))...)
	return append(errs, requiredIf(volume == "", at.Child("volumeName"))...)
}

func inlineCSI(s *corev1.CSIVolumeSource, at *field.Path) field.ErrorList {
	errs := csiDriver(s.Driver, at.Child("driver"))
	if s.NodePublishSecretRef != nil {
		errs = append(errs, validate.ObjectName(s.NodePublishSecretRef.Name, at.Child("nodePublishSecretRef", "name"))...)
	}
	return errs
}

const maxCSIDriverName = 63

func csiDriver(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	var errs field.ErrorList
	if len(name) > maxCSIDriverName {
		errs = append(errs, field.TooLong(at, name, maxCSIDriverName))
	}
	// Case does not count, but the error shows the name as it was given.
	return append(errs, validate.Each(validation.IsDNS1123Subdomain(strings.ToLower(name)), name, at)...)
}
