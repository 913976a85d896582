#!/usr/bin/env bash
# Gets ready what `make images` and `make e2e-compose` need beside a docker engine, for with.sh: compose, a builder that
# knows BuildKit, and the images that others make. Those that cannot be pulled are stood in for by local ones (images.sh).
# What takes long is made once and kept in $ROOT and in the engine. Settings for docker go to $ROOT/settings.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export ROOT=${ROOT:?}

need() { # PROGRAM PACKAGE
	command -v "$1" >/dev/null && return
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "install $2" >&2; exit 1; }
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$2" >&2 ||
		{ apt-get update -q; DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$2"; } >&2
}

# compose, at least 2.24.
compose_fits() { docker compose version --short 2>/dev/null | awk -F. '{ exit !($1 > 2 || $1 == 2 && $2 >= 24) }'; }
if ! compose_fits; then
	export DOCKER_CONFIG=$ROOT/docker-config
	compose_fits || { need jq jq; "$here/plugins.sh" compose; }
	compose_fits
fi

# A builder. Debian's docker has one built in up to version 22, which buildx, a long build, need not be built for.
debian=/usr/bin/docker
if docker buildx version >/dev/null 2>&1; then
	build='docker buildx build --load'
elif v=$($debian version --format '{{.Client.Version}}' 2>/dev/null) && [ "${v%%.*}" -ge 20 ] && [ "${v%%.*}" -lt 23 ]; then
	build="env DOCKER_BUILDKIT=1 $debian build"
else
	export DOCKER_CONFIG=$ROOT/docker-config
	need jq jq
	"$here/plugins.sh" buildx
	build='docker buildx build --load'
fi

# The images that others make, of compose.yaml and the overlays in OVERLAYS.
files=(-f "$here/../../deploy/compose/compose.yaml")
for overlay in ${OVERLAYS:-}; do files+=(-f "$here/../../deploy/compose/$overlay"); done
images=$(docker compose "${files[@]}" --env-file "$here/../../e2e/compose/testdata/env" config --images)
missing=()
for image in golang:1.26 $(grep -v '^gensyn-monitor/' <<<"$images" | sort -u); do
	docker image inspect "$image" >/dev/null 2>&1 || docker pull -q "$image" 2>/dev/null || missing+=("$image")
done
if [ ${#missing[@]} -gt 0 ]; then
	need mmdebstrap mmdebstrap
	need setcap libcap2-bin
	need jq jq
	"$here/images.sh" "${missing[@]}"
fi

{
	[ -z "${DOCKER_CONFIG:-}" ] || printf 'export DOCKER_CONFIG=%q\n' "$DOCKER_CONFIG"
	printf 'export DOCKER_BUILD=%q\n' "$build"
} >"$ROOT/settings"
