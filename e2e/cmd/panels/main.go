// Command panels writes the questions of a Grafana dashboard as recording rules, so that promtool can read them:
// panels dashboard.json
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "panels: give the dashboard's file")
		os.Exit(2)
	}
	dashboard, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = write(os.Stdout, dashboard)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "panels:", err)
		os.Exit(1)
	}
}

func write(w io.Writer, dashboard []byte) error {
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
