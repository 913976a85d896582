#!/usr/bin/env bash
# Builds the .deb and .rpm packages of the monitor in one process and of the agent: build.sh VERSION FOLDER [ARCH…]
# NFPM names the program that packs (bin/nfpm; make packages builds it).
set -eu
cd "$(dirname "$0")/../../.."
VERSION=${1:?version} out=${2:?folder}
shift 2
nfpm=${NFPM:-bin/nfpm}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
module=github.com/gensyn-monitor/gensyn-monitor
{
	echo "# Settings of gensyn-monitor. Take away the # where you set something, then: systemctl restart gensyn-monitor"
	echo "# The data is in /var/lib/gensyn-monitor."
	sed -n '/^# --- who may report/,$p' .env.example | sed '/^# Where everything is kept/,/^#DATA_DIR/d'
} >"$work/gensyn-monitor.env"

export CGO_ENABLED=0 GOOS=linux GOWORK=off
[ $# -gt 0 ] || set -- amd64 arm64
for ARCH in "$@"; do
	BUILD=$work/$ARCH
	export VERSION ARCH BUILD SETTINGS="$work/gensyn-monitor.env"
	GOARCH=$ARCH go build -trimpath -buildvcs=false -ldflags "-s -w -X $module/internal/telemetry.version=$VERSION" \
		-o "$BUILD/standalone" ./standalone
	(cd agent && GOARCH=$ARCH go build -trimpath -buildvcs=false -tags nethttpomithttp2 -ldflags "-s -w -X main.version=$VERSION" \
		-o "$BUILD/gensyn-agent" ./cmd/gensyn-agent)
	for kind in deb rpm; do
		for package in monitor agent; do
			"$nfpm" package --config "deploy/systemd/packages/$package.yaml" --packager $kind --target "$out"
		done
	done
done
