#!/usr/bin/env bash
# Gets ready what `make images` and `make e2e-compose` need, and prints the settings for docker as shell assignments:
#   eval "$(tools/containers/prepare.sh)"
# A docker engine that answers is used as it is; without one, root on Debian gets docker.io and an engine of its own.
# Images that cannot be pulled are stood in for by local ones (images.sh). What takes long is made once and kept in
# CONTAINERS_DIR (by default ~/.cache/gensyn-monitor/containers) and in the engine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export ROOT=${CONTAINERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/gensyn-monitor/containers}
mkdir -p "$ROOT"
exec 3>&1 1>&2 # only the settings go to standard output

install() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "install $*" >&2; exit 1; }
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" ||
		{ apt-get update -q; DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; }
}

# The engine.
if ! docker version >/dev/null 2>&1; then
	command -v dockerd >/dev/null || install docker.io
	if ! docker version >/dev/null 2>&1; then # no init system started it
		echo "starting dockerd, log in $ROOT/dockerd.log"
		setsid dockerd >"$ROOT/dockerd.log" 2>&1 3>&- </dev/null &
		for _ in $(seq 60); do docker version >/dev/null 2>&1 && break; sleep 0.5; done
		docker version >/dev/null || { tail -n 20 "$ROOT/dockerd.log"; exit 1; }
	fi
fi

# compose, at least 2.24, and buildx.
fits() {
	docker buildx version >/dev/null 2>&1 &&
		docker compose version --short 2>/dev/null | awk -F. '{ exit !($1 > 2 || $1 == 2 && $2 >= 24) }'
}
if ! fits; then
	export DOCKER_CONFIG=$ROOT/docker-config
	fits || { command -v jq >/dev/null || install jq; "$here/plugins.sh"; }
	fits
fi

# The images that others make.
for image in golang:1.26 $(docker compose -f "$here/../../deploy/compose/compose.yaml" \
	--env-file "$here/../../e2e/compose/testdata/env" config --images | grep -v '^gensyn-monitor/' | sort -u); do
	docker image inspect "$image" >/dev/null 2>&1 || docker pull -q "$image" 2>/dev/null || missing="${missing:-} $image"
done
if [ -n "${missing:-}" ]; then
	command -v mmdebstrap >/dev/null && command -v setcap >/dev/null || install mmdebstrap libcap2-bin
	"$here/images.sh" $missing
fi

[ -z "${DOCKER_CONFIG:-}" ] || printf 'export DOCKER_CONFIG=%q\n' "$DOCKER_CONFIG" >&3
