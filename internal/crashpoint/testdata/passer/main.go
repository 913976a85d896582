// Command passer says each step that it has passed.
package main

import (
	"fmt"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
)

func main() {
	for _, step := range []string{"a", "a", "b"} {
		crashpoint.Here(step)
		fmt.Print(step)
	}
}
