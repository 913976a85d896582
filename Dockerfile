# One image a program: docker build --build-arg SERVICE=ingest -t gensyn-monitor/ingest .
# SERVICE is ingest, evaluator, notifier, web, standalone or agent. The image is the program alone: no shell, no
# libraries, a user without rights, and nothing is written outside of volumes.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY agent/go.mod agent/go.sum agent/
COPY contract/go.mod contract/
RUN --mount=type=cache,target=/go/pkg/mod GOWORK=off go mod download
COPY . .
ARG SERVICE
ARG VERSION=dev
ARG TARGETOS
ARG TARGETARCH
# The agent is built as the Makefile builds it: see there. web has a reader of SQLite files in it, for imports, and would be
# above 25 MB: only what makes the page is inlined.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    set -eu; module=github.com/gensyn-monitor/gensyn-monitor; version="-X $module/internal/telemetry.version=$VERSION"; tags=; gc=; dir=.; \
    inlined="$module/... runtime reflect strconv strings bytes html/template text/template encoding/json"; \
    case "$SERVICE" in \
    ingest|evaluator|notifier) package=./services/$SERVICE/cmd/$SERVICE ;; \
    web) gc=-gcflags=all=-l; for p in $inlined; do gc="$gc -gcflags=$p="; done; package=./services/$SERVICE/cmd/$SERVICE ;; \
    standalone) package=./standalone ;; \
    agent) dir=agent; package=./cmd/gensyn-agent; tags=nethttpomithttp2; gc=-gcflags=all=-l; version="-X main.version=$VERSION" ;; \
    *) echo "SERVICE is '$SERVICE': it must be ingest, evaluator, notifier, web, standalone or agent" >&2; exit 1 ;; \
    esac; \
    cd $dir; CGO_ENABLED=0 GOWORK=off GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -tags "$tags" $gc -ldflags "-s -w $version" -o /out/app $package
# Volumes take owner and mode from here.
RUN mkdir -p /root-fs/data /root-fs/tmp /root-fs/etc/ssl/certs && chmod 1777 /root-fs/tmp && chown 65532:65532 /root-fs/data && \
    cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ && \
    echo 'nonroot:x:65532:65532::/data:/sbin/nologin' >/root-fs/etc/passwd && mv /out/app /root-fs/app

FROM scratch
COPY --from=build /root-fs /
ARG SERVICE
ARG VERSION=dev
ARG REVISION
LABEL org.opencontainers.image.title="gensyn-monitor $SERVICE" \
      org.opencontainers.image.description="Tells people when one of their compute nodes stopped working" \
      org.opencontainers.image.source="https://github.com/gensyn-monitor/gensyn-monitor" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
ENV DATA_DIR=/data STATE_DIR=/data LOG_FORMAT=json
USER 65532:65532
WORKDIR /data
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/app", "healthcheck"]
ENTRYPOINT ["/app"]
