module github.com/gensyn-monitor/gensyn-monitor/agent

go 1.26.0

require (
	github.com/gensyn-monitor/gensyn-monitor/contract v0.0.0-00010101000000-000000000000
	golang.org/x/sys v0.49.0
)

replace github.com/gensyn-monitor/gensyn-monitor/contract => ../contract
