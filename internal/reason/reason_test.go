package reason_test

import (
	"encoding/json"
	"os"
	"testing"
	"unicode"

	"github.com/gensyn-monitor/gensyn-monitor/internal/reason"
)

func TestPorts(t *testing.T) {
	for code, want := range map[string]string{
		"port_closed_3000": "port 3000 is closed", "port_closed_65536": "", "port_closed_08": "", "port_closed_": "", "anything": "",
	} {
		if got := reason.Words("en", code); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
	if got := reason.Words("ru", "port_closed_80"); got != "порт 80 закрыт" {
		t.Error(got)
	}
}

// Whatever reason the profile of RL-Swarm can give has words in both languages.
func TestEveryReasonOfTheAgentHasWords(t *testing.T) {
	data, err := os.ReadFile("../../agent/workload/rl-swarm.json")
	if err != nil {
		t.Fatal(err)
	}
	var profile any
	if err := json.Unmarshal(data, &profile); err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]bool)
	collect(profile, codes)
	if len(codes) < 15 {
		t.Fatalf("only %d reasons in the profile: %v", len(codes), codes)
	}
	for code := range codes {
		if reason.Words("en", code) == "" {
			t.Errorf("%s has no words in English", code)
		}
		ru, cyrillic := reason.Words("ru", code), false
		for _, r := range ru {
			cyrillic = cyrillic || unicode.Is(unicode.Cyrillic, r)
		}
		if !cyrillic {
			t.Errorf("%s in Russian: %q", code, ru)
		}
	}
}

func collect(v any, codes map[string]bool) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			collect(e, codes)
		}
	case map[string]any:
		for name, e := range v {
			if s, ok := e.(string); ok && name == "reason" && s != "" {
				codes[s] = true
			}
			collect(e, codes)
		}
	}
}
