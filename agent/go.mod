module github.com/gensyn-monitor/gensyn-monitor/agent

go 1.26

require github.com/gensyn-monitor/gensyn-monitor/contract v0.0.0-00010101000000-000000000000

replace github.com/gensyn-monitor/gensyn-monitor/contract => ../contract
