#!/usr/bin/env bash
# build.sh [VERSION]: container images of all programs, gensyn-monitor/<program>:VERSION; PLATFORM, for example
# linux/arm64, adds that to the tag. Run it by with.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=${1:-dev}
tag=$version${PLATFORM:+-${PLATFORM##*/}}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
for service in ingest evaluator notifier web standalone agent; do
	$DOCKER_BUILD -q ${PLATFORM:+--platform "$PLATFORM"} --build-arg SERVICE=$service --build-arg VERSION="$version" \
		--build-arg REVISION="$revision" -t "gensyn-monitor/$service:$tag" . >/dev/null
	echo "gensyn-monitor/$service:$tag"
done
