package scenarios

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A trail leads to a value in a scenario file: field names and list indices.
type trail []any

func (p trail) at(steps ...any) trail { return append(slices.Clone(p), steps...) }

// places finds where in a file things are written. Anchors and aliases are
// followed: what is wrong in a shared value is wrong where it is written.
type places struct {
	root    ast.Node
	anchors map[string]ast.Node
}

func placesOf(doc *ast.DocumentNode) places {
	p := places{root: doc.Body, anchors: map[string]ast.Node{}}
	ast.Walk(p, doc.Body)
	return p
}

// Visit notes anchors.
func (p places) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil {
		p.anchors[a.Name.GetToken().Value] = a.Value
	}
	return p
}

// value is where the value at a trail begins or, where the trail leads past what
// is written, the last value on it.
func (p places) value(at trail) (line, column int) {
	n := p.root
	for _, step := range at {
		entry, next := p.step(n, step)
		if next == nil || entry == nil {
			break
		}
		n = next
	}
	return position(first(n))
}

// key is where the field at the end of a trail is named; without it, value.
func (p places) key(at trail) (line, column int) {
	n := p.root
	for i, step := range at {
		entry, next := p.step(n, step)
		if entry == nil || next == nil {
			break
		}
		if i == len(at)-1 {
			return position(entry.GetToken())
		}
		n = next
	}
	return p.value(at)
}

// step goes from a value to one that it holds: entry is the field's key, or
// the element of a list itself.
func (p places) step(n ast.Node, step any) (entry, next ast.Node) {
	switch n := p.bare(n).(type) {
	case *ast.SequenceNode:
		if i, ok := step.(int); ok && i < len(n.Values) {
			return n.Values[i], n.Values[i]
		}
	case *ast.MappingNode:
		for _, v := range n.Values {
			if v.Key.GetToken().Value == step {
				return v.Key, v.Value
			}
		}
	case *ast.MappingValueNode:
		if n.Key.GetToken().Value == step {
			return n.Key, n.Value
		}
	}
	return nil, nil
}

// bare takes the anchor off a value and leads from an alias to what it names.
// An alias may name one that is around it, so the way is bounded.
func (p places) bare(n ast.Node) ast.Node {
	for range 10 {
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.AliasNode:
			n = p.anchors[v.Value.GetToken().Value]
		case *ast.TagNode:
			n = v.Value
		default:
			return n
		}
	}
	return nil
}

// first is the token that a reader sees first: a mapping's own is the colon
// behind its first key.
func first(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	if n == nil {
		return nil
	}
	return n.GetToken()
}

func position(t *token.Token) (line, column int) {
	if t == nil || t.Position == nil {
		return 1, 1
	}
	return t.Position.Line, t.Position.Column
}
