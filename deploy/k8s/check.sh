#!/usr/bin/env bash
# Are the manifests sound? Renders every overlay and gives each object to a real API server of Kubernetes (dry run, under
# the restricted Pod Security level). Needs root and Go: the first run builds the server, which takes minutes.
set -eu
cd "$(dirname "$0")"
cluster=../../tools/kubernetes/cluster.sh
failed=0
# Kustomize reads nothing outside of its folder, so these two are copies.
for pair in nats/users.conf:../compose/nats/users.conf overlays/minimal/postgres/roles.sh:../compose/postgres/roles.sh; do
	cmp "${pair%%:*}" "${pair##*:}" || failed=1
done
$cluster build core
kubectl() { "${ROOT:-$HOME/.cache/gensyn-monitor/kubernetes}/bin/kubectl" "$@"; }
for folder in base nats components/traces overlays/minimal overlays/ha; do
	kubectl kustomize "$folder" >/dev/null || failed=1
done
# Made for operators, whose kinds a plain API server does not know: read alone.
kubectl kustomize components/prometheus >/dev/null || failed=1
for overlay in minimal ha; do
	echo "== overlays/$overlay"
	$cluster validate "overlays/$overlay" || failed=1
done
echo "== secrets.sh"
secrets=$(mktemp)
trap 'rm -f "$secrets"' EXIT
./secrets.sh >"$secrets"
$cluster validate "$secrets" || failed=1
exit $failed
