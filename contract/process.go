package contract

// ProcessSubject is where every process says that it runs, those that stand by included. No stream keeps it: who does not
// hear it lacks a line on a page, and nothing else.
func ProcessSubject(service string) string { return "process." + service }

// Process is one process of the system.
type Process struct {
	V       int    `json:"v"`
	Service string `json:"service"` // ingest, evaluator, notifier, web, or standalone for all of them
	ID      string `json:"id"`      // no other process has it
	Version string `json:"version"` // of the program
	Started int64  `json:"started"` // Unix seconds
	Answered
}

// Answered is how many requests with heartbeats a process answered since it started.
type Answered struct {
	Accepted int64            `json:"accepted,omitempty"` // stored
	Refused  map[string]int64 `json:"refused,omitempty"`  // by HTTP status
}

// DecodeProcess reads what a process says of itself. Errors as for DecodeBatch.
func DecodeProcess(data []byte) (Process, error) {
	var p Process
	err := decode(data, &p)
	return p, err
}
