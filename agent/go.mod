module github.com/gensyn-monitor/gensyn-monitor/agent

go 1.26

replace github.com/gensyn-monitor/gensyn-monitor/contract => ../contract
