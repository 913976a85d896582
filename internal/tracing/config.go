package tracing

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// Exporting is what the environment says of traces, in the names that OpenTelemetry gives. Configurations embed it.
type Exporting struct {
	TracesEndpoint   string          `envconfig:"OTEL_EXPORTER_OTLP_ENDPOINT" desc:"OpenTelemetry collector that traces are sent to, like http://collector:4318; not set: no traces"`
	TracesHeaders    settings.Secret `envconfig:"OTEL_EXPORTER_OTLP_HEADERS" desc:"headers of what is sent there, name=value separated by commas"`
	TracesProtocol   string          `envconfig:"OTEL_EXPORTER_OTLP_PROTOCOL" default:"http/protobuf" desc:"http/protobuf"`
	TracesTimeout    int             `envconfig:"OTEL_EXPORTER_OTLP_TIMEOUT" default:"10000" allowed:"a number of milliseconds, at least 1" desc:"milliseconds that the collector may take to answer"`
	TracesService    string          `envconfig:"OTEL_SERVICE_NAME" desc:"name of the service in traces; not set: gensyn- and the program's name"`
	TracesAttributes string          `envconfig:"OTEL_RESOURCE_ATTRIBUTES" desc:"what is said of the process in traces besides, name=value separated by commas"`
	TracesSampler    string          `envconfig:"OTEL_TRACES_SAMPLER" desc:"which traces are kept, such as parentbased_traceidratio; not set: those of heartbeats that say something new, of transitions and of messages"`
	TracesSamplerArg string          `envconfig:"OTEL_TRACES_SAMPLER_ARG" desc:"the share of traces that the sampler keeps, from 0 to 1"`
}

// CheckExporting says what is not allowed. Without an endpoint all is.
func (e Exporting) CheckExporting() error {
	if e.TracesEndpoint == "" {
		return nil
	}
	u, err := url.Parse(e.TracesEndpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("OTEL_EXPORTER_OTLP_ENDPOINT is not allowed: it must be an address such as http://collector:4318")
	case u.User != nil:
		return errors.New("OTEL_EXPORTER_OTLP_ENDPOINT is not allowed: it must hold no password; OTEL_EXPORTER_OTLP_HEADERS may")
	case e.TracesProtocol != "" && e.TracesProtocol != "http/protobuf":
		return settings.Invalid("OTEL_EXPORTER_OTLP_PROTOCOL", e.TracesProtocol, "http/protobuf")
	case e.TracesTimeout < 0:
		return settings.Invalid("OTEL_EXPORTER_OTLP_TIMEOUT", e.TracesTimeout, "a number of milliseconds, at least 1")
	}
	_, headers := e.headers()
	_, about := pairs("OTEL_RESOURCE_ATTRIBUTES", e.TracesAttributes)
	_, sampler := e.sampler()
	return cmp.Or(headers, about, sampler)
}

func (e Exporting) timeout() time.Duration {
	return time.Duration(cmp.Or(e.TracesTimeout, 10_000)) * time.Millisecond
}

func (e Exporting) headers() (http.Header, error) {
	named, err := pairs("OTEL_EXPORTER_OTLP_HEADERS", e.TracesHeaders.Reveal())
	if err != nil {
		return nil, err
	}
	h := make(http.Header)
	for _, p := range named {
		h.Set(p[0], p[1])
	}
	return h, nil
}

// resource is what is said of the process.
func (e Exporting) resource(o Options) ([]attribute.KeyValue, error) {
	about := []attribute.KeyValue{
		attribute.String("service.name", cmp.Or(e.TracesService, "gensyn-"+o.Service)),
		attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", o.Instance),
	}
	more, err := pairs("OTEL_RESOURCE_ATTRIBUTES", e.TracesAttributes)
	for _, p := range more {
		if p[0] != "service.name" || e.TracesService == "" {
			about = append(about, attribute.String(p[0], p[1])) // the last of a name counts
		}
	}
	return about, err
}

// pairs reads name=value separated by commas, values in percent-encoding. The error shows nothing of them.
func pairs(variable, list string) (out [][2]string, err error) {
	for part := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || name == "" || err != nil || strings.ContainsAny(name+value, "\r\n") {
			return nil, fmt.Errorf("%s is not allowed: it must be name=value, separated by commas, values percent-encoded", variable)
		}
		out = append(out, [2]string{name, value})
	}
	return out, nil
}

// sampler is the one that is asked for. Without one everything is kept that somebody begins a trace for, unless whoever
// began it elsewhere does not keep it.
func (e Exporting) sampler() (sdktrace.Sampler, error) {
	share := 1.0
	if e.TracesSamplerArg != "" {
		var err error
		if share, err = strconv.ParseFloat(e.TracesSamplerArg, 64); err != nil || !(share >= 0 && share <= 1) {
			return nil, settings.Invalid("OTEL_TRACES_SAMPLER_ARG", e.TracesSamplerArg, "a number from 0 to 1")
		}
	}
	root, parentBased := strings.CutPrefix(cmp.Or(e.TracesSampler, "parentbased_always_on"), "parentbased_")
	var s sdktrace.Sampler
	switch root {
	case "always_on":
		s = sdktrace.AlwaysSample()
	case "always_off":
		s = sdktrace.NeverSample()
	case "traceidratio":
		s = sdktrace.TraceIDRatioBased(share)
	default:
		return nil, settings.Invalid("OTEL_TRACES_SAMPLER", e.TracesSampler,
			"always_on, always_off or traceidratio, or one of them after parentbased_")
	}
	if parentBased {
		s = sdktrace.ParentBased(s)
	}
	return s, nil
}
