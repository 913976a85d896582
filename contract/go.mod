module github.com/gensyn-monitor/gensyn-monitor/contract

go 1.26
