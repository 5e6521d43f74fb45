package capture

import "golang.org/x/net/bpf"

// program is a classic BPF program that is written from its end to its
// beginning: since jumps only lead forward, every target is known when the
// jump to it is written.
type program struct {
	reversed []bpf.Instruction
	near     map[label]label // the latest copy of a target, or jump to it
}

// label is an instruction of a program: its place counted from the end.
type label int

// farthest is how far a conditional jump may lead: the kernel has 8 bits for
// it; a few are kept back for instructions written in between.
const farthest = 250

func newProgram() *program { return &program{near: map[label]label{}} }

// instructions returns the program in the order in which it runs.
func (p *program) instructions() []bpf.Instruction {
	out := make([]bpf.Instruction, len(p.reversed))
	for i, ins := range p.reversed {
		out[len(out)-1-i] = ins
	}
	return out
}

// add puts an instruction before all others.
func (p *program) add(ins bpf.Instruction) label {
	p.reversed = append(p.reversed, ins)
	return label(len(p.reversed) - 1)
}

// skip returns how many instructions lie between the next one that is added and l.
func (p *program) skip(l label) int { return len(p.reversed) - 1 - int(l) }

// then adds an instruction that is followed by the one at l.
func (p *program) then(ins bpf.Instruction, l label) label {
	p.enter(l)
	return p.add(ins)
}

// enter makes the program begin with the instruction at l.
func (p *program) enter(l label) {
	if p.skip(l) != 0 {
		p.add(bpf.Jump{Skip: uint32(p.skip(l))})
	}
}

// branch adds a conditional jump.
func (p *program) branch(test bpf.JumpTest, val uint32, yes, no label) label {
	if yes == no {
		return yes
	}
	yes, no = p.within(yes), p.within(no)
	return p.add(bpf.JumpIf{Cond: test, Val: val, SkipTrue: uint8(p.skip(yes)), SkipFalse: uint8(p.skip(no))})
}

// within returns a label in reach of a conditional jump that does what l does.
func (p *program) within(l label) label {
	if p.skip(l) <= farthest {
		return l
	}
	if n, ok := p.near[l]; ok && p.skip(n) <= farthest {
		return n
	}
	var n label
	if ret, ok := p.reversed[l].(bpf.RetConstant); ok {
		n = p.add(ret)
	} else {
		n = p.add(bpf.Jump{Skip: uint32(p.skip(l))})
	}
	p.near[l] = n
	return n
}
