#!/usr/bin/env bash
# Brings a cluster up, runs the hello example in it, and fetches its page in
# each way that there is. Usage: examples/hello/run.sh [path of knarr]
set -euo pipefail
cd "$(dirname "$0")/../.."
knarr=${1:-bin/knarr}
archive=bin/images/knarr.io_hello_1.tar

root() { if ((EUID == 0)); then "$@"; else sudo --preserve-env=KUBECONFIG "$@"; fi; }
step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

step "$knarr up"
root "$knarr" up
# Up once more costs nothing and tells programs what stands where.
up=$(root "$knarr" up -o json | tail -n 1)
field() { sed -nE "s/.*\"$1\":\"?([^,\"}]*)\"?.*/\1/p" <<<"$up"; }
address=$(field nodeAddress)
http_port=$(field httpPort)

step "import the example's image, and apply examples/hello/hello.yaml"
root "$knarr" image import "$archive"
"$knarr" kubectl apply -f examples/hello/hello.yaml
"$knarr" kubectl -n hello rollout status deployment/hello --timeout=120s
"$knarr" kubectl -n hello get pods -o wide

step "the page, through the Service by its DNS name, from inside a pod"
"$knarr" kubectl -n hello exec deployment/hello -- /hello fetch http://hello.hello.svc.cluster.local

step "the page, through the NodePort (http://$address:30080)"
fetch() { curl --silent --show-error --fail --max-time 10 --retry 10 --retry-delay 1 --retry-all-errors "$@"; }
fetch "http://$address:30080"

step "the page, through the Ingress (host hello.example on port $http_port)"
fetch --header "Host: hello.example" "http://$address:$http_port/"

cat <<EOF

All of it answers. What to try next:
  $knarr kubectl get all -n hello
  $knarr kubectl -n hello scale deployment/hello --replicas=10
  $knarr kubectl -n hello logs -f deployment/hello
  $knarr kubectl -n hello port-forward service/hello 8080:80
  $knarr status
  $knarr down            (keeps the data: up brings the cluster back)
  $knarr down --purge    (leaves the machine as it was)
EOF
