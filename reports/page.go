package reports

import (
	"io"
	"os"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/term"
)

// A Page describes where text is shown. The zero value is a page of 120 columns
// without colour.
type Page struct {
	Width    int      // columns; 120 when zero
	Terminal bool     // lines may be rewritten
	Colour   bool     // ANSI colours may be used
	Reports  []string // files that the text should point to
}

// PageOf is the page of a writer. On a terminal it has the terminal's width, and
// colours unless NO_COLOR is set or TERM is dumb.
func PageOf(w io.Writer) Page {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(f.Fd()) {
		return Page{}
	}
	dumb := os.Getenv("TERM") == "dumb"
	p := Page{Terminal: !dumb, Colour: !dumb && os.Getenv("NO_COLOR") == ""}
	if width, _, err := term.GetSize(f.Fd()); err == nil {
		p.Width = width
	}
	return p
}

// columns is the width of the page, at least 40.
func (p Page) columns() int {
	if p.Width == 0 {
		return 120
	}
	return max(p.Width, 40)
}

// style is how an outcome looks.
func (p Page) style(outcome string) lipgloss.Style {
	s := lipgloss.NewStyle()
	if !p.Colour {
		return s
	}
	switch concernOf(outcome) {
	case fine:
		return s.Foreground(lipgloss.Green)
	case vulnerable:
		return s.Foreground(lipgloss.Red).Bold(true)
	case known:
		return s.Foreground(lipgloss.Yellow)
	case untried:
		return s.Faint(true)
	case unknown:
		return s.Foreground(lipgloss.Magenta)
	default:
		return s.Foreground(lipgloss.Red).Bold(true)
	}
}

func (p Page) bold() lipgloss.Style  { return lipgloss.NewStyle().Bold(p.Colour) }
func (p Page) faint() lipgloss.Style { return lipgloss.NewStyle().Faint(p.Colour) }
