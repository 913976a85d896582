// Package crashpoint ends the process, as kill -9 does, at a named step between a heartbeat's arrival and the record
// of its delivery.
//
// It is for tests. Without the build tag crashpoint, Here is an empty function that the compiler removes. With it, the
// environment variable CRASH_AT names the step: "ingest.read", or "ingest.read:3" for the third time that it is reached.
package crashpoint

// Variable names the environment variable that says where to end.
const Variable = "CRASH_AT"

// Point is one named step.
type Point struct {
	Name string // program and step, as Here is called with
	At   string // what was done last before it, and what was not yet
	// Repeats says that people may be told the same frozen notification once more after a crash here: Telegram has
	// accepted it and nobody has noted that.
	Repeats bool
}

// Points are all steps, in the order in which a heartbeat meets them. A test crashes at each.
var Points = []Point{
	{Name: "ingest.read", At: "a heartbeat was read and checked, nothing is stored"},
	{Name: "ingest.sealed", At: "heartbeats were taken for one message, which is not encoded"},
	{Name: "ingest.publish", At: "the message is encoded and not published"},
	{Name: "ingest.acknowledged", At: "JetStream acknowledged the message, no agent has its answer"},
	{Name: "ingest.answer", At: "one agent of the message is about to be answered"},
	{Name: "ingest.pulse", At: "an empty batch is due and not published"},

	{Name: "evaluator.acquired", At: "the lease is taken, nothing is loaded"},
	{Name: "evaluator.loaded", At: "the fold is loaded, the position is not verified"},
	{Name: "evaluator.located", At: "the position is verified, nothing is consumed"},
	{Name: "evaluator.received", At: "a message arrived and is not folded"},
	{Name: "evaluator.folded", At: "a message is folded in memory alone"},
	{Name: "evaluator.commit", At: "the changes are taken and not sent"},
	{Name: "evaluator.commit_sent", At: "the commit was sent to the database, its answer is not read"},
	{Name: "evaluator.committed", At: "the commit is answered, nothing is announced"},
	{Name: "evaluator.announce", At: "one event of the commit is about to be announced"},
	{Name: "evaluator.announced", At: "one event of the commit is announced, others may not be"},
	{Name: "evaluator.renewed", At: "the lease was renewed"},
	{Name: "evaluator.release", At: "all is committed on being told to stop, the lease is still held"},

	{Name: "notifier.acquired", At: "the chat's lease is taken, nothing is collected"},
	{Name: "notifier.collected", At: "events became alerts of the chat, none is in a notification"},
	{Name: "notifier.freeze", At: "the text is composed and not stored"},
	{Name: "notifier.frozen", At: "the notification is frozen and not sent"},
	{Name: "notifier.send", At: "the lease was looked at once more, the message is not sent"},
	{Name: "notifier.accepted", At: "Telegram accepted the message, that is not recorded", Repeats: true},
	{Name: "notifier.recorded", At: "the delivery is recorded"},
	{Name: "notifier.refused", At: "Telegram answered with an error, that is not recorded"},
	{Name: "notifier.renewed", At: "the chat's lease was renewed"},

	{Name: "web.command", At: "a command is encoded and not published"},
	{Name: "web.commanded", At: "JetStream acknowledged the command, nobody has the answer"},
}
