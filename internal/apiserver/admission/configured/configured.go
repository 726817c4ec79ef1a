// Package configured reads an AdmissionConfiguration
// (apiserver.config.k8s.io/v1): how the server identifies itself to admission
// webhooks, by the kubeconfigs that it names. Their users are named by the
// host of a webhook, with its port where that is not 443, with a * for the first
// parts of the name, or * alone.
//
// The file is read once, at start. What it says of plugins that take no
// configuration here is refused, so that nobody relies on it.
package configured

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/config"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"

	"github.com/knarr-io/knarr/internal/apiserver/admission/webhook"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
)

// The plugins that a file may configure.
const (
	mutating   = "MutatingAdmissionWebhook"
	validating = "ValidatingAdmissionWebhook"
)

// Read gives what a file says; nothing for no file.
func Read(file string) (webhook.Credentials, error) {
	if file == "" {
		return webhook.Credentials{}, nil
	}
	out, err := read(file)
	if err != nil {
		return out, fmt.Errorf("admission configuration %s: %w", file, err)
	}
	return out, nil
}

func read(file string) (out webhook.Credentials, err error) {
	all, err := decode(file)
	if err != nil {
		return out, err
	}
	places := map[string]*outbound.Credentials{mutating: &out.Mutating, validating: &out.Validating}
	for i := range all.Plugins {
		plugin := &all.Plugins[i]
		place := places[plugin.Name]
		if place == nil {
			return out, fmt.Errorf("plugin %q takes no configuration, or has one already: only %s and %s can be configured, once each", plugin.Name, mutating, validating)
		}
		delete(places, plugin.Name)
		if *place, err = credentials(filepath.Dir(file), plugin); err != nil {
			return out, fmt.Errorf("plugin %s: %w", plugin.Name, err)
		}
	}
	return out, nil
}

// decode reads a configuration strictly.
func decode(file string) (*apiserver.AdmissionConfiguration, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	obj, err := runtime.Decode(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), content)
	if err != nil {
		return nil, err
	}
	all, ok := obj.(*apiserver.AdmissionConfiguration)
	if !ok {
		return nil, errors.New("want an AdmissionConfiguration, got " + obj.GetObjectKind().GroupVersionKind().Kind)
	}
	return all, nil
}

// credentials are those of a plugin's WebhookAdmissionConfiguration, which
// stands in the file itself or in another, named from the folder of the file.
func credentials(folder string, plugin *apiserver.AdmissionPluginConfiguration) (outbound.Credentials, error) {
	var text string
	switch {
	case plugin.Configuration != nil:
		text = string(plugin.Configuration.Raw)
	case plugin.Path != "":
		path := plugin.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(folder, path)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text = string(content)
	default:
		return nil, nil
	}
	known, err := config.LoadConfig(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	if known.StaticManifestsDir != "" {
		return nil, errors.New("staticManifestsDir is not served: webhooks are configured by the API")
	}
	if known.KubeConfigFile == "" {
		return nil, nil
	}
	resolver, err := webhookutil.NewDefaultAuthenticationInfoResolver(known.KubeConfigFile)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", known.KubeConfigFile, err)
	}
	return resolver.ClientConfigFor, nil
}
