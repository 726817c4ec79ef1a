package configured

import (
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
)

// WebhookOptions say who judges tokens that nobody else knows.
type WebhookOptions struct {
	// ConfigFile is a kubeconfig that names the server.
	ConfigFile string
	// Audiences are the API's own, for servers that know of none.
	Audiences authenticator.Audiences
	// Remember is how long an answer is good for; zero: two minutes.
	Remember time.Duration
	// Timeout bounds one question; zero: ten seconds.
	Timeout time.Duration
}

// retryDelay is the wait before the first of a few retries.
const retryDelay = 500 * time.Millisecond

// NewWebhook asks a server with TokenReviews (authentication.k8s.io/v1).
func NewWebhook(o WebhookOptions) (authenticator.Token, error) {
	if o.Remember == 0 {
		o.Remember = 2 * time.Minute
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	config, err := webhookutil.LoadKubeconfig(o.ConfigFile, nil)
	if err != nil {
		return nil, fmt.Errorf("token webhook %s: %w", o.ConfigFile, err)
	}
	config.Timeout = o.Timeout
	asked, err := webhook.New(config, "v1", o.Audiences, webhookutil.DefaultRetryBackoffWithInitialDelay(retryDelay))
	if err != nil {
		return nil, fmt.Errorf("token webhook %s: %w", o.ConfigFile, err)
	}
	return tokencache.New(asked, false, o.Remember, o.Remember), nil
}
