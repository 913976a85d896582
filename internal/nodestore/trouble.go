package nodestore

import (
	"context"
	"errors"
	"strings"
)

// Trouble is a kind of trouble with the database, a short code for figures and logs. Engines name it: see TroubleError.
type Trouble string

// The kinds. None is for calls that the database answered, be it with ErrHeld or ErrFenced.
const (
	None               Trouble = ""
	Unreachable        Trouble = "unreachable" // refused, reset, no such host
	Slow               Trouble = "slow"        // no answer in time
	ReadOnly           Trouble = "read_only"   // a replica, or a primary until it was replaced
	Restarting         Trouble = "restarting"  // shutting down, crashed or starting up
	TooManyConnections Trouble = "too_many_connections"
	Denied             Trouble = "denied" // the password, or a right
	DiskFull           Trouble = "disk_full"
	WrongSchema        Trouble = "schema" // tables are missing, or are a newer program's
	Other              Trouble = "other"
)

// Troubles are all kinds but None.
var Troubles = []Trouble{
	Unreachable, Slow, ReadOnly, Restarting, TooManyConnections, Denied, DiskFull, WrongSchema, Other,
}

// words say of each kind what the database does, and what helps.
var words = map[Trouble]struct{ says, help string }{
	Unreachable: {"cannot be reached",
		"check that it runs, the host and port of DATABASE_URL, and the network between"},
	Slow: {"does not answer in time",
		"look at its load, its disk, its locks (pg_stat_activity), and the network between"},
	ReadOnly: {"takes no writes, as a replica does",
		"promote it, or name all servers in DATABASE_URL (postgres://user:password@a,b/name?target_session_attrs=read-write): the writable one is found then"},
	Restarting: {"is shutting down or starting up",
		"wait; should it take long, its log says why"},
	TooManyConnections: {"has no free connection",
		"raise max_connections, or end other clients"},
	Denied: {"denies access",
		"check user, password and database of DATABASE_URL, pg_hba.conf, and that the user owns the tables"},
	DiskFull: {"has no disk space left",
		"free or add space on the database's disk"},
	WrongSchema: {"has another schema than this program needs",
		"if a newer program migrated it, update this one; if tables are missing, start this one again or restore a backup"},
	Other: {"reports an error",
		"the error says what; the database's log may say more"},
}

// Says is what the database does, to follow "the database".
func (t Trouble) Says() string { return words[t].says }

// Help is what people can do about it.
func (t Trouble) Help() string { return words[t].help }

// TroubleError is an error of an engine with its kind. It wraps ErrUnavailable when it may pass.
type TroubleError struct {
	Kind   Trouble
	Passes bool
	Cause  error // without secrets
}

// Error implements error.
func (e *TroubleError) Error() string {
	return "the database " + e.Kind.Says() + ": " + e.Cause.Error()
}

// Unwrap implements errors.Unwrap.
func (e *TroubleError) Unwrap() []error {
	if e.Passes {
		return []error{ErrUnavailable, e.Cause}
	}
	return []error{e.Cause}
}

// TroubleOf is the kind of trouble that an error of the store tells of. The caller's own wish to end is none.
func TroubleOf(err error) Trouble {
	var known *TroubleError
	switch {
	case err == nil, errors.Is(err, ErrFenced), errors.Is(err, ErrHeld):
		return None
	case errors.Is(err, context.Canceled) && !Passing(err):
		return None
	case errors.Is(err, ErrNewerSchema):
		return WrongSchema
	case errors.As(err, &known):
		return known.Kind
	case errors.Is(err, context.DeadlineExceeded):
		return Slow
	}
	return Other
}

// Explained is an error of the store for people: what the database does, why, and what helps, on one line.
type Explained struct{ Err error }

// Error implements error.
func (e Explained) Error() string {
	kind := TroubleOf(e.Err)
	if kind == None {
		return e.Err.Error()
	}
	var known *TroubleError
	cause := e.Err
	if errors.As(e.Err, &known) {
		cause = known.Cause
	}
	why := strings.Join(strings.FieldsFunc(cause.Error(), func(r rune) bool { return r == '\n' }), "; ")
	return kind.Says() + " (" + why + "): " + kind.Help()
}

// Unwrap implements errors.Unwrap.
func (e Explained) Unwrap() error { return e.Err }
