package authz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/load"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authzcel "k8s.io/apiserver/pkg/authorization/cel"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authorizer/webhook"
	"k8s.io/apiserver/plugin/pkg/authorizer/webhook/metrics"

	"github.com/knarr-io/knarr/internal/base/filewatch"
)

// The authorizers that a configuration may name.
const (
	typeNode  = "Node"
	typeRBAC  = "RBAC"
	typeAllow = "AlwaysAllow"
	typeDeny  = "AlwaysDeny"
)

// webhookRetry is the wait before a webhook that failed is asked again.
const webhookRetry = 500 * time.Millisecond

// Configure asks in the order that an AuthorizationConfiguration
// (apiserver.config.k8s.io/v1, KEP-3221) names, instead of the built-in one.
// Members of system:masters may do everything whatever it says. It is called
// before the authorizer is used.
func (z *Authorizer) Configure(file string) error {
	content, err := filewatch.Read(file)
	if err != nil {
		return fmt.Errorf("read the authorization configuration: %w", err)
	}
	z.file, z.content = file, content
	return z.use(content)
}

// followFile takes changes of the configuration over until ctx ends.
func (z *Authorizer) followFile(ctx context.Context) error {
	return filewatch.Follow(ctx, z.file, z.content, func(content []byte) {
		if err := z.use(content); err != nil {
			z.logger.Error("a changed authorization configuration cannot be used; the last one stays in use", "error", err)
			return
		}
		z.logger.Info("a new authorization configuration is in use", "file", z.file)
	})
}

func (z *Authorizer) use(content []byte) error {
	chain, err := z.chainOf(content)
	if err != nil {
		return fmt.Errorf("authorization configuration %s: %w", z.file, err)
	}
	z.inOrder.Store(&chain)
	return nil
}

// chainOf makes the authorizers that a configuration names.
func (z *Authorizer) chainOf(content []byte) ([]step, error) {
	config, err := load.LoadFromData(content)
	if err != nil {
		return nil, err
	}
	compiler := authzcel.NewDefaultCompiler()
	known := sets.New(string(apiserver.TypeWebhook), typeNode, typeRBAC, typeAllow, typeDeny)
	if errs := validation.ValidateAuthorizationConfiguration(compiler, nil, config, known, sets.New(string(apiserver.TypeWebhook))); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	// The edge's rule is a part of this cluster, as its node is.
	chain := []step{z.builtin.edge}
	for i, one := range config.Authorizers {
		switch one.Type {
		case typeNode:
			chain = append(chain, z.builtin.node)
		case typeRBAC:
			chain = append(chain, z.builtin.rbac)
		case typeAllow:
			chain = append(chain, step{Authorizer: authorizerfactory.NewAlwaysAllowAuthorizer(), rules: authorizerfactory.NewAlwaysAllowAuthorizer()})
		case typeDeny:
			chain = append(chain, step{Authorizer: authorizerfactory.NewAlwaysDenyAuthorizer(), rules: authorizerfactory.NewAlwaysDenyAuthorizer()})
		case apiserver.TypeWebhook:
			hook, err := newWebhook(one, compiler)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", field.NewPath("authorizers").Index(i), err)
			}
			chain = append(chain, step{Authorizer: hook, rules: hook})
		}
	}
	return chain, nil
}

// newWebhook asks a server with SubjectAccessReviews.
func newWebhook(one apiserver.AuthorizerConfiguration, compiler authzcel.Compiler) (*webhook.WebhookAuthorizer, error) {
	w := one.Webhook
	if w.ConnectionInfo.Type != apiserver.AuthorizationWebhookConnectionInfoTypeKubeConfigFile || w.ConnectionInfo.KubeConfigFile == nil {
		return nil, errors.New("connectionInfo: only KubeConfigFile can be used: Knarr's server does not run in a pod")
	}
	config, err := webhookutil.LoadKubeconfig(*w.ConnectionInfo.KubeConfigFile, nil)
	if err != nil {
		return nil, err
	}
	config.Timeout = w.Timeout.Duration
	onError := authorizer.DecisionNoOpinion
	if w.FailurePolicy == apiserver.FailurePolicyDeny {
		onError = authorizer.DecisionDeny
	}
	allowed, refused := w.AuthorizedTTL.Duration, w.UnauthorizedTTL.Duration
	if !w.CacheAuthorizedRequests {
		allowed = 0
	}
	if !w.CacheUnauthorizedRequests {
		refused = 0
	}
	return webhook.New(config, w.SubjectAccessReviewVersion, allowed, refused, webhookutil.DefaultRetryBackoffWithInitialDelay(webhookRetry),
		onError, w.MatchConditions, one.Name, metrics.NoopAuthorizerMetrics{}, compiler)
}
