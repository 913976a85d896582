// Package examples holds scripts for owners of nodes, to copy and change.
package examples
