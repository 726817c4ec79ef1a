package catalog

import (
	"fmt"
	"slices"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/admissionregistration"
	"github.com/knarr-io/knarr/internal/api/apiextensions"
	"github.com/knarr-io/knarr/internal/api/apiregistration"
	"github.com/knarr-io/knarr/internal/api/apps"
	"github.com/knarr-io/knarr/internal/api/authentication"
	"github.com/knarr-io/knarr/internal/api/authorization"
	"github.com/knarr-io/knarr/internal/api/autoscaling"
	"github.com/knarr-io/knarr/internal/api/batch"
	"github.com/knarr-io/knarr/internal/api/certificates"
	"github.com/knarr-io/knarr/internal/api/coordination"
	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/discovery"
	"github.com/knarr-io/knarr/internal/api/events"
	"github.com/knarr-io/knarr/internal/api/flowcontrol"
	"github.com/knarr-io/knarr/internal/api/networking"
	"github.com/knarr-io/knarr/internal/api/node"
	"github.com/knarr-io/knarr/internal/api/policy"
	"github.com/knarr-io/knarr/internal/api/rbac"
	"github.com/knarr-io/knarr/internal/api/resource"
	"github.com/knarr-io/knarr/internal/api/scheduling"
	"github.com/knarr-io/knarr/internal/api/storage"
)

// New is the catalogue of everything that is built in. Groups stand in the
// order in which discovery names them.
func New() *Catalog {
	c, err := Of(builtin())
	if err != nil {
		panic(fmt.Sprintf("built-in kinds: %v", err)) // a test builds the catalogue: users never see this
	}
	return c
}

func builtin() []*api.Kind {
	coreKinds := core.Kinds()
	return slices.Concat(
		coreKinds,
		apiregistration.Kinds(),
		apps.Kinds(),
		events.Kinds(named(coreKinds, "Event")),
		authentication.Kinds(),
		authorization.Kinds(),
		autoscaling.Kinds(),
		batch.Kinds(),
		certificates.Kinds(),
		networking.Kinds(),
		policy.Kinds(),
		rbac.Kinds(),
		storage.Kinds(),
		admissionregistration.Kinds(),
		apiextensions.Kinds(),
		scheduling.Kinds(),
		coordination.Kinds(),
		node.Kinds(),
		discovery.Kinds(),
		resource.Kinds(),
		flowcontrol.Kinds(),
	)
}

func named(kinds []*api.Kind, name string) *api.Kind {
	i := slices.IndexFunc(kinds, func(k *api.Kind) bool { return k.GVK.Kind == name })
	if i < 0 {
		panic("no kind " + name)
	}
	return kinds[i]
}
