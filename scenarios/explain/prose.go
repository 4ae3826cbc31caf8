package explain

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
)

// explainWidth is the length of a line of prose, in columns.
const explainWidth = 88

// prose is text under headings: for a terminal, or as Markdown. An indent
// means nothing in Markdown.
type prose struct {
	strings.Builder
	markdown bool
}

// title begins a subject.
func (p *prose) title(format string, args ...any) {
	if p.markdown {
		format = "# " + format + "\n"
	}
	p.line(0, format, args...)
}

// line is a line by itself.
func (p *prose) line(indent int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.markdown {
		fmt.Fprintln(p, escaped(text))
		return
	}
	fmt.Fprintln(p, strings.Repeat(" ", indent)+text)
}

// heading begins a part of a subject.
func (p *prose) heading(text string) {
	if p.markdown {
		fmt.Fprintf(p, "\n## %s\n\n", escaped(text))
		return
	}
	fmt.Fprintf(p, "\n%s\n", text)
}

// sub begins a part of a part.
func (p *prose) sub(format string, args ...any) {
	if p.markdown {
		fmt.Fprintf(p, "### %s\n\n", escaped(fmt.Sprintf(format, args...)))
		return
	}
	p.line(2, format, args...)
}

// gap is an empty line.
func (p *prose) gap() { p.WriteString("\n") }

// text writes a paragraph behind an indent.
func (p *prose) text(indent int, format string, args ...any) {
	text := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	if p.markdown {
		fmt.Fprintf(p, "%s\n\n", escaped(text))
		return
	}
	p.wrapped(indent, text)
}

func (p *prose) wrapped(indent int, text string) {
	blanks := strings.Repeat(" ", indent)
	for line := range strings.SplitSeq(lipgloss.Wrap(text, explainWidth-indent, ""), "\n") {
		fmt.Fprintln(p, strings.TrimRight(blanks+line, " "))
	}
}

// point is a short paragraph among others, an item of a list in Markdown.
func (p *prose) point(indent int, format string, args ...any) {
	if p.markdown {
		fmt.Fprintf(p, "- %s\n", escaped(strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")))
		return
	}
	p.text(indent, format, args...)
}

// item writes text behind a label; further lines stay behind it.
func (p *prose) item(indent, wide int, label, text string) {
	if p.markdown {
		fmt.Fprintf(p, "- **%s** %s\n", escaped(label), escaped(strings.TrimSpace(text)))
		return
	}
	var body prose
	body.wrapped(indent+wide, strings.Join(strings.Fields(text), " "))
	fmt.Fprintf(p, "%s%-*s%s", strings.Repeat(" ", indent), wide, label, strings.TrimLeft(body.String(), " "))
}

// code is an item whose text is code.
func (p *prose) code(indent, wide int, label, text string) {
	if p.markdown {
		fmt.Fprintf(p, "- **%s** %s\n", escaped(label), coded(text))
		return
	}
	p.item(indent, wide, label, text)
}

// lead announces the points that follow.
func (p *prose) lead(text string) {
	if p.markdown {
		fmt.Fprintf(p, "\n%s\n\n", escaped(text))
		return
	}
	p.line(4, "%s", text)
}

// parted sets what follows apart, where nothing else would.
func (p *prose) parted(text string) {
	if p.markdown {
		p.lead(text)
	}
}

// under explains the point before it.
func (p *prose) under(indent int, text string) {
	if p.markdown {
		p.line(0, "  %s", text)
		return
	}
	p.text(indent, "%s", text)
}

// source is where something is told.
func (p *prose) source(address string) {
	if p.markdown {
		fmt.Fprintf(p, "- <%s>\n", address)
		return
	}
	p.line(2, "%s", address)
}

// coded is text as code in Markdown.
func coded(text string) string { return "`" + strings.ReplaceAll(text, "`", "'") + "`" }

// escaped is text that stays text in Markdown. An underscore within a word
// means nothing there.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "<", "&lt;", ">", "&gt;", "|", `\|`).Replace(text)
}
