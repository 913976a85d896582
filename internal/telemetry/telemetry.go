// Package telemetry is how a program speaks of itself: its log, its metrics and its version.
package telemetry

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
)

// version is set by the linker for releases.
var version = ""

// Version is the release, or the commit it was built from, or "dev".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return s.Value[:12]
			}
		}
	}
	return "dev"
}

var levels = map[string]zerolog.Level{
	"debug": zerolog.DebugLevel, "info": zerolog.InfoLevel, "warn": zerolog.WarnLevel, "error": zerolog.ErrorLevel,
}

// NewLogger writes to w. Format is json, console, or "" for console on a terminal and json elsewhere.
func NewLogger(w io.Writer, service, level, format string) (zerolog.Logger, error) {
	l, known := levels[level]
	if !known {
		return zerolog.Nop(), fmt.Errorf("LOG_LEVEL=%s is not allowed: it must be debug, info, warn or error", level)
	}
	switch format {
	case "":
		if isTerminal(w) {
			w = console(w)
		}
	case "console":
		w = console(w)
	case "json":
	default:
		return zerolog.Nop(), fmt.Errorf("LOG_FORMAT=%s is not allowed: it must be json or console", format)
	}
	zerolog.TimeFieldFormat = time.RFC3339Nano
	return zerolog.New(w).Level(l).With().Timestamp().Str("service", service).Logger(), nil
}

func console(w io.Writer) io.Writer {
	return zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", NoColor: !isTerminal(w)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// NewRegistry has the Go runtime's and the process's metrics, and the version.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gensyn_build_info", Help: "Always 1; the version is in the label.",
		ConstLabels: prometheus.Labels{"version": Version()},
	})
	build.Set(1)
	r.MustRegister(build)
	return r
}
