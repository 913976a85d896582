package web

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

var errFormat = errors.New("format: must be json or csv")

// byteOrderMark tells spreadsheets that a file is UTF-8; without it they read names as something else.
const byteOrderMark = "\uFEFF"

// writeCSV answers a table. Who asked by ?format=csv is a person who opens it in a spreadsheet.
func writeCSV[T any](w http.ResponseWriter, r *http.Request, name string, columns []string, all []T, cells func(row []string, one T) []string) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	if r.Method == http.MethodHead {
		return
	}
	if r.URL.Query().Get("format") != "" {
		_, _ = w.Write([]byte(byteOrderMark))
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true // as RFC 4180 has it
	_ = out.Write(columns)
	row := make([]string, 0, len(columns))
	for _, one := range all {
		if out.Write(cells(row[:0], one)) != nil {
			return // the client went away
		}
	}
	out.Flush()
}

// formula finds what a spreadsheet would take for the beginning of one: at the beginning of a cell, and behind what some
// of them take for the end of one, as those do that expect semicolons, whatever quotes there are.
var formula = regexp.MustCompile(`(^|[;\t\r\n])("*[=+\-@＝＋－＠])`)

// cell makes a foreign text safe for a spreadsheet, which would take some for formulas: they could send what stands in
// other cells elsewhere.
func cell(text string) string {
	if text != "" && (text[0] == '\t' || text[0] == '\r') {
		text = "'" + text
	}
	if !strings.ContainsAny(text, "=+-@＝＋－＠") {
		return text
	}
	return formula.ReplaceAllString(text, "$1'$2")
}

// moment is a stamp as programs and spreadsheets read it, "" for none.
func moment(s node.Stamp) string {
	if s == 0 {
		return ""
	}
	return s.Time().Format("2006-01-02T15:04:05Z")
}

var nodeColumns = []string{
	"node_id", "name", "ip", "state", "reason", "evidence", "since", "last_seen", "age_sec", "computed", "last_state",
	"meta", "joined", "threshold_sec", "interval_sec", "agent_version", "os", "arch", "round", "phase", "peer_name", "gpu",
}

// appendNodeCells writes nodeColumns.
func appendNodeCells(row []string, n *node.Node, now time.Time, clock *node.Clock) []string {
	work, metrics := lastReport(n)
	round, gpu := "", ""
	if work.Round > 0 {
		round = strconv.FormatInt(work.Round, 10)
	}
	if len(metrics.GPUs) > 0 {
		gpu = gpuNames(metrics.GPUs)
	}
	return append(row,
		cell(n.ID), cell(n.Name), cell(n.IP), string(n.State), cell(n.Reason), cell(n.Evidence),
		moment(n.Since), moment(n.Heard), strconv.FormatInt(int64(age(n, now)/time.Second), 10),
		upDown(n.State.Serving()), upDown(saidUp(n)), cell(n.Meta), moment(n.Joined),
		number(clock.Settings.ThresholdOf(n).Seconds()), number(n.Interval.Seconds()),
		cell(n.AgentVersion), cell(n.OS), cell(n.Arch),
		round, cell(work.Phase), cell(work.PeerName), cell(gpu),
	)
}

// lastReport is what the node's agent said last of its work and its machine. It may be anything: of what cannot be read
// nothing is known.
func lastReport(n *node.Node) (work contract.Workload, metrics contract.Metrics) {
	if n.Workload != "" && json.Unmarshal([]byte(n.Workload), &work) != nil {
		work = contract.Workload{}
	}
	if n.Metrics != "" && json.Unmarshal([]byte(n.Metrics), &metrics) != nil {
		metrics = contract.Metrics{}
	}
	return work, metrics
}

func upDown(up bool) string {
	if up {
		return "UP"
	}
	return "DOWN"
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
