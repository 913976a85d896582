package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstallRefusesWhatTheServiceWouldRefuse: settings of probes, too, or it would end at once, again and again.
func TestInstallRefusesWhatTheServiceWouldRefuse(t *testing.T) {
	p := program{env: map[string]string{}}
	o, err := p.options(flags{config: "own.env"})
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(o.Settings) || filepath.Base(o.Settings) != "own.env" {
		t.Errorf("settings in %q: a service begins in another directory", o.Settings)
	}
	for extra, want := range map[string]string{
		"":                  "",
		"PROFILE=legacy":    "",
		"PROFILE=foo":       `PROFILE="foo" is not allowed`,
		"STALL_SEC=x":       `STALL_SEC="x" is not allowed`,
		"PROFILE=generic":   "set at least one of",
		"INTERVAL_SEC=0":    `INTERVAL_SEC="0" is not allowed`,
		"CA_FILE=/none.pem": "CA_FILE: ",
	} {
		set := map[string]string{"SERVER_URL": "https://m.example", "SHARED_SECRET": "s"}
		if name, value, ok := strings.Cut(extra, "="); ok {
			set[name] = value
		}
		err := o.Validate(set)
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, errSettings) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", extra, err, want)
		}
	}
}
