// Command grafana writes the questions of the dashboard as recording rules, so that promtool can read them.
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

//go:embed dashboard.json
var dashboard []byte

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "grafana:", err)
		os.Exit(1)
	}
}

func write(w io.Writer) error {
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(dashboard, &d); err != nil {
		return err
	}
	// What Grafana puts in the place of its variables.
	variables := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*")
	var b strings.Builder
	b.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, p := range d.Panels {
		for j, t := range p.Targets {
			fmt.Fprintf(&b, "  - {record: panel:%d:%d, expr: %s}\n", i, j, strconv.Quote(variables.Replace(t.Expr)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
