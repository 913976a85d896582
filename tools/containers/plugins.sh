#!/usr/bin/env bash
# plugins.sh compose|buildx: builds plugins of docker that Debian 12 does not package, from their Go modules with the
# version stamped in. They go to $ROOT/docker-config/cli-plugins. Needs go and jq.
set -euo pipefail
ROOT=${ROOT:?}
mkdir -p "$ROOT" && ROOT=$(cd "$ROOT" && pwd)
plugins=$ROOT/docker-config/cli-plugins
mkdir -p "$plugins"

# plugin MODULE VERSION MAINPKG VERSIONVAR NAME
# The module's own directory is copied out of the module cache and built there
# as the main module, because compose's go.mod has replace directives, which
# `go install module@version` refuses.
plugin() {
	local mod=$1 ver=$2 pkg=$3 var=$4 name=$5 t=$SECONDS dir
	if [ -x "$plugins/$name" ] && [ -z "${REBUILD:-}" ]; then
		echo "$name: already built"; return
	fi
	read -r dir ver < <(cd "$ROOT" && go mod download -json "$mod@$ver" | jq -r '"\(.Dir) \(.Version)"')
	[ -d "$dir" ] || { echo "$name: no $mod@$ver" >&2; exit 1; }
	rm -rf "$ROOT/src/$name" && mkdir -p "$ROOT/src"
	cp -r "$dir" "$ROOT/src/$name" && chmod -R u+w "$ROOT/src/$name"
	# Its builder for Kubernetes is the largest part of compose, and nobody's here.
	[ "$name" != docker-compose ] || sed -i '/buildx\/driver\/kubernetes"/d' "$ROOT/src/$name/pkg/compose/build_buildkit.go"
	# Not optimised, which halves the work; the compiler may use memory for time.
	(cd "$ROOT/src/$name" &&
		GOGC=400 CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=mod go build -trimpath -buildvcs=false '-gcflags=all=-N -l' \
			-ldflags "-s -w -X $var=$ver" -o "$plugins/$name" "$pkg")
	rm -rf "$ROOT/src/$name"
	echo "$name $ver: $((SECONDS - t)) s, $(du -h "$plugins/$name" | cut -f1)"
}

for name; do
	case $name in
	compose) plugin github.com/docker/compose/v2 "${COMPOSE_VERSION:-v2.40.3}" ./cmd \
		github.com/docker/compose/v2/internal.Version docker-compose ;;
	buildx) plugin github.com/docker/buildx "${BUILDX_VERSION:-latest}" ./cmd/buildx \
		github.com/docker/buildx/version.Version docker-buildx ;;
	*) echo "no plugin $name" >&2; exit 2 ;;
	esac
	DOCKER_CONFIG=$ROOT/docker-config docker "$name" version
done
