package node

import "math"

// agent is what an agent says of itself. Very many nodes have the same.
type agent struct{ version, os, arch string }

// noAgent is the number of an agent that is not remembered.
const noAgent = 0

// agents gives them numbers, to notice that a node's is the same as before. They are never forgotten, so there is an end
// to how many are remembered.
type agents struct {
	numbers map[agent]uint16
	list    []agent // by number
}

func newAgents() agents { return agents{numbers: make(map[agent]uint16), list: make([]agent, 1)} }

// number is noAgent when there are too many.
func (a *agents) number(of agent, before uint16) uint16 {
	if before != noAgent && a.list[before] == of {
		return before
	}
	number, ok := a.numbers[of]
	if !ok && len(a.list) <= math.MaxUint16 {
		number = uint16(len(a.list))
		a.numbers[of], a.list = number, append(a.list, of)
	}
	return number
}
