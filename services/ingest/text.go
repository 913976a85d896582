package ingest

import (
	"bytes"
	"encoding/json"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/plain"
)

// compact drops the white space between the tokens of valid JSON.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return nil
	}
	return b.Bytes()
}

// object keeps a report that is an object, as compact JSON. Anything else, or too long, or with numbers that nobody
// could read, is dropped: a report is shown, never judged, and no heartbeat is lost over it.
func object(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	out := raw
	if bytes.ContainsAny(raw, " \t\r\n") {
		out = compact(raw)
	}
	if len(out) > contract.MaxReportBytes || strange(out) && json.Unmarshal(out, new(map[string]any)) != nil {
		return nil
	}
	if !bytes.Contains(out, []byte(`\u`)) {
		return out
	}
	// Escapes can hide NUL and halves of surrogate pairs, which databases refuse inside JSON.
	if out = cleanJSON(out); len(out) > contract.MaxReportBytes {
		return nil
	}
	return out
}

// strange reports whether valid JSON may hold a number that a float64 cannot: with an exponent, or with very many digits.
func strange(raw json.RawMessage) bool {
	digits := 0
	for i, c := range raw {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case (c == 'e' || c == 'E') && i > 0 && '0' <= raw[i-1] && raw[i-1] <= '9':
			return true
		default:
			digits = 0
		}
		if digits > 300 {
			return true
		}
	}
	return false
}

// cleanJSON writes an object anew with clean names and texts. Numbers stay as they are.
func cleanJSON(raw json.RawMessage) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v map[string]any
	if d.Decode(&v) != nil {
		return nil
	}
	out, err := marshal(cleanValue(v))
	if err != nil {
		return nil
	}
	return out
}

func cleanValue(v any) any {
	switch v := v.(type) {
	case string:
		return plain.Line(v, contract.MaxReportBytes)
	case []any:
		for i := range v {
			v[i] = cleanValue(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[plain.Line(k, contract.MaxReportBytes)] = cleanValue(e)
		}
		return out
	}
	return v
}
