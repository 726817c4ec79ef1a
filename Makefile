# Knarr. The two commands that matter: `make run` and `make test`.

SHELL   := /bin/bash
GO      ?= go
BIN     := bin
KNARR   := $(BIN)/knarr
PAYLOAD := internal/app/payload/bin
HELM    := internal/app/payload/helm/knarr-helm.gz
export CGO_ENABLED ?= 0
# What is compiled here is compiled alike: once for programs, tests and vet, and
# once for all clones of the repository.
export GOFLAGS := -trimpath $(shell $(GO) env GOFLAGS)

# kubectl and client-go tell the version that the linker gives them: that of
# the Kubernetes libraries in go.mod.
MINOR_PATCH := $(shell sed -nE 's|^.*k8s.io/kubectl v0\.([0-9]+\.[0-9]+).*|\1|p' go.mod)
VERSIONS    := $(foreach package,k8s.io/component-base/version k8s.io/client-go/pkg/version,\
	-X $(package).gitVersion=v1.$(MINOR_PATCH) -X $(package).gitMajor=1 -X $(package).gitMinor=$(firstword $(subst ., ,$(MINOR_PATCH))))

# What `helm version` tells.
HELM_VERSION := helm.sh/helm/v4/internal/version.version=$(shell sed -nE 's|^.*helm.sh/helm/v4 (v4[^ ]*).*|\1|p' helm/go.mod)

.DEFAULT_GOAL := build
.PHONY: build run test test-vm arm64 unit race knarrtest clients e2e ecosystem ecosystem-short ecosystem-images bench bench-upstream profile robustness robustness-short soak soak-short fuzz fuzz-short oracle conformance conformance-images critest generate lint deps payload images hello-image clean help containerd dist

help: ## show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

deps: ## install what building and running needs (Debian, Ubuntu)
	@tools/deps.sh

payload: deps
	@$(MAKE) --no-print-directory -C runtime OUT=$(abspath $(PAYLOAD))
	@$(GO) -C helm build -buildvcs=false -ldflags '-s -w -X $(HELM_VERSION)' -o $(abspath $(BIN))/knarr-helm helm.sh/helm/v4/cmd/helm
	@gzip -dc $(HELM) 2>/dev/null | cmp -s - $(BIN)/knarr-helm || { gzip -nc $(BIN)/knarr-helm >$(HELM).new && mv $(HELM).new $(HELM); }

build: payload ## build bin/knarr with everything in it
	$(GO) build -ldflags '-s -w $(VERSIONS)' -o $(KNARR) ./cmd/knarr

run: build hello-image ## bring a cluster up and show the hello example in it
	examples/hello/run.sh $(KNARR)

# Real clusters are waited for more than worked: while e2e does, the others
# take their turns beside it.
test: build unit race images ## everything: unit tests, the race detector, and a real cluster
	@$(MAKE) --no-print-directory -j2 e2e fuzz-short knarrtest clients soak-short robustness-short ecosystem-short

unit: ## tests of the tools' and the house's rules
	$(GO) vet ./...
	$(GO) test ./tools/... ./test/conformance/... ./test/bench/... ./test/vm/... ./test/robustness/history/...

# The race detector makes each program sleep for a second at its end, unless told not to.
race: payload ## all unit and contract tests under the race detector, both modules
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 $(GO) test -race -timeout 15m ./internal/... ./cmd/...
	$(MAKE) --no-print-directory -C runtime test

knarrtest: build ## the package for other people's tests, against the built program
	KNARRTEST_BINARY=$(abspath $(KNARR)) $(GO) -C knarrtest test -count=1 ./...

clients: build ## client-go and controller-runtime, as others use them, against the built program
	KNARRTEST_BINARY=$(abspath $(KNARR)) $(GO) -C test/clients test -count=1 ./...

e2e: build images ## a real cluster with real containers (needs root)
	$(GO) test -count=1 -timeout 30m ./test/e2e/... -knarr=$(abspath $(KNARR)) -images=$(abspath $(BIN)/images)

ECOSYSTEM = $(GO) test -count=1 -timeout 60m ./test/ecosystem -knarr=$(abspath $(KNARR)) -images=$(abspath $(BIN)/ecosystem)

ecosystem: build ecosystem-images ## other people's operators on a cluster (needs root); writes docs/ecosystem.md
	$(ECOSYSTEM) -ledger=$(abspath docs/ecosystem.md)

ecosystem-short: build ## an operator made with controller-runtime, as pods on a cluster (needs root)
	$(GO) run ./tools/image -out $(BIN)/ecosystem test/ecosystem/images/operator.yaml
	$(ECOSYSTEM) -run='^(TestOperator|TestLedger)$$'

ecosystem-images: # other people's programs, built from their Go modules
	$(GO) run ./tools/image -out $(BIN)/ecosystem test/ecosystem/images/*.yaml

images: ## build the images that examples and tests use, from Debian's packages
	$(GO) run ./tools/image -out $(BIN)/images examples/*/image.yaml test/images/*.yaml

hello-image:
	@$(GO) run ./tools/image -out $(BIN)/images examples/hello/image.yaml

SOAK = $(GO) test -count=1 -timeout 48h ./test/soak -knarr=$(abspath $(KNARR)) -images=$(abspath $(BIN)/images)

soak: build images ## work a cluster for MINUTES= (default 30; needs root) and hold what it took against what it had; writes bin/soak.md
	$(SOAK) -v -minutes=$(or $(MINUTES),30) -report=$(abspath $(BIN))/soak.md

soak-short: build images
	$(SOAK) -minutes=2

ROBUSTNESS = $(GO) test -count=1 -timeout 12h ./test/robustness -knarr=$(abspath $(KNARR)) -seed=$(or $(SEED),1) -results=$(abspath $(BIN))/robustness

robustness: build ## kill a server CRASHES= times (default 1000; needs root) while a model judges what clients see [SEED=]; writes docs/robustness.md
	$(ROBUSTNESS) -v -crashes=$(or $(CRASHES),1000) $(if $(CRASHES),,-report=$(abspath docs/robustness.md))

robustness-short: build
	$(ROBUSTNESS) -crashes=10

BENCH_RUN = $(GO) run ./test/bench -knarr $(abspath $(KNARR)) -images $(abspath $(BIN)/images) $(if $(BENCH_DIR),-dir '$(BENCH_DIR)') $(if $(CONTAINERD),-containerd '$(CONTAINERD)')

bench: build images ## measure, each figure beside its budget [ONLY= BENCH_DIR= CONTAINERD=]; writes docs/benchmarks.md and bin/bench.json
	$(BENCH_RUN) -data $(BIN)/bench.json $(if $(ONLY),-only '$(ONLY)')

bench-upstream: build images ## measure in turns with upstream's control plane and node [ONLY= BENCH_DIR=]; writes docs/benchmarks-upstream.md
	$(GO) run ./tools/image -out $(BIN)/images test/upstream/node/image.yaml test/conformance/images/pause.yaml
	$(BENCH_RUN) -upstream $(BIN)/upstream -report docs/benchmarks-upstream.md -data $(BIN)/bench-upstream.json $(if $(ONLY),-only '$(ONLY)')

profile: build images ## CPU and heap profiles of the server under BENCH=, a measurement of make bench
	@test -n '$(BENCH)' || { echo 'profile: say of what: make profile BENCH=api (or list, pod, ...)' >&2; exit 1; }
	$(BENCH_RUN) -only '$(BENCH)' -profiles $(BIN)/profile

dist: build arm64 ## packages for other machines, amd64 and arm64: an archive and a .deb with man pages and completions, checksums; in bin/dist
	tools/dist.sh $(BIN)/dist $(KNARR) $(BIN)/arm64/knarr

CROSS     := $(abspath .cache/cross)
ARM64     := $(BIN)/arm64
FOR_ARM64 := GOARCH=arm64 CC=$(CROSS)/cc PKG_CONFIG=$(CROSS)/pkg-config

arm64: payload ## bin/arm64/knarr, built on amd64 and tried under qemu-user, both from Debian's packages unpacked below .cache/cross
	$(GO) run ./tools/cross -out $(CROSS)
	@mkdir -p $(ARM64)/bin $(ARM64)/helm
	@$(FOR_ARM64) $(MAKE) --no-print-directory -C runtime OUT=$(abspath $(ARM64))/bin
	@$(FOR_ARM64) $(GO) -C helm build -buildvcs=false -ldflags '-s -w -X $(HELM_VERSION)' -o $(abspath $(ARM64))/knarr-helm helm.sh/helm/v4/cmd/helm
	@gzip -nc $(ARM64)/knarr-helm >$(ARM64)/helm/knarr-helm.gz
	@{ sep='{"Replace": {'; for f in bin/knarr-runtime bin/knarr-keep bin/knarr-pause helm/knarr-helm.gz; do \
		printf '%s"%s": "%s"' "$$sep" '$(abspath internal/app/payload)'/$$f '$(abspath $(ARM64))'/$$f; sep=', '; done; echo '}}'; } >$(ARM64)/overlay.json
	$(FOR_ARM64) $(GO) build -overlay $(ARM64)/overlay.json -ldflags '-s -w $(VERSIONS)' -o $(ARM64)/knarr ./cmd/knarr
	$(CROSS)/run $(ARM64)/knarr version
	$(CROSS)/run $(ARM64)/bin/knarr-runtime version

conformance-images: # what upstream's suite names, as a layout that a registry serves
	$(GO) run ./tools/image -layout $(BIN)/conformance/images test/conformance/images/*.yaml test/conformance/images/critest/*.yaml

conformance: build conformance-images ## run upstream's conformance suite [FOCUS= SKIP= PROCS= NODES=]; writes docs/conformance.md
	$(GO) run ./test/conformance -knarr $(abspath $(KNARR)) -focus '$(FOCUS)' -skip '$(SKIP)' $(if $(PROCS),-procs $(PROCS)) $(if $(NODES),-nodes $(NODES))

critest: payload conformance-images ## run CRITEST=path, a binary of cri-tools, against the runtime; writes docs/critest.md
	@test -n '$(CRITEST)' || { echo 'critest: say where the binary is: make critest CRITEST=path (from the releases of kubernetes-sigs/cri-tools)' >&2; exit 1; }
	$(GO) run ./test/conformance -critest '$(abspath $(CRITEST))' -report docs/critest.md -focus '$(FOCUS)' -skip '$(SKIP)'

containerd: build images ## a cluster on another runtime: CONTAINERD=folder with bin/ and cni/ (docs/other-runtimes.md)
	@test -d '$(CONTAINERD)/bin' || { echo 'containerd: say where its programs are: make containerd CONTAINERD=folder' >&2; exit 1; }
	$(GO) run ./tools/image -out $(BIN)/containerd-images test/conformance/images/pause.yaml
	$(GO) test -tags containerd -count=1 ./test/containerd -knarr=$(abspath $(KNARR)) -images=$(abspath $(BIN)/images) -pause=$(abspath $(BIN)/containerd-images) -containerd=$(abspath $(CONTAINERD))

test-vm: build hello-image ## Knarr on machines of Debian under QEMU, with systemd and other firewalls [ONLY=] (needs root); writes docs/platforms.md
	$(GO) run ./test/vm -knarr $(abspath $(KNARR)) -hello $(abspath $(BIN)/images)/knarr.io_hello_1.tar $(if $(ONLY),-only '$(ONLY)')

fuzz: ## run every fuzz target for FUZZTIME (default 30s) each; PACKAGES= chooses
	@tools/fuzz.sh $(GO) $(or $(FUZZTIME),30s) $(or $(PACKAGES),./internal/...)
	@$(if $(PACKAGES),,cd runtime && ../tools/fuzz.sh $(GO) $(or $(FUZZTIME),30s) ./...)

fuzz-short: payload # a few seconds of each target that reads what strangers send
	@tools/fuzz-short.sh $(GO)

oracle: ## hold defaults, validation and scheduling against upstream's own, N= cases a kind (default 10000), KIND= chooses [SEED=]
	$(GO) -C test/oracle test ./...
	$(GO) -C test/oracle run . -n $(or $(N),10000) -seed $(or $(SEED),1) -kind '$(KIND)'
	$(GO) -C test/oracle run ./scheduling -n $(or $(N),2000) -seed $(or $(SEED),1)

generate: ## make the generated files anew
	$(GO) run ./tools/gen

lint: ## static analysis (golangci-lint must be installed)
	golangci-lint run ./...

clean: ## remove what was built
	rm -rf $(BIN)
	find $(PAYLOAD) $(dir $(HELM)) -type f ! -name PLACEHOLDER -delete
