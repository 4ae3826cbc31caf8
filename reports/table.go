package reports

import (
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

// wide is the width from which on there is room to say who refused.
const wide = 110

// A cell is text and the outcome that colours it, none when empty.
type cell struct{ text, outcome string }

// table has one row a scenario and, below it, one row an attempt.
func (p Page) table(run Run) string {
	head := []string{"SCENARIO", "VERDICT", "REFUSAL", "BY", "EXPOSURE WINDOW", "TIME"}
	if p.columns() < wide {
		head[4] = "EXPOSURE"
	}
	var rows [][]cell
	for _, s := range run.Scenarios {
		rows = append(rows, []cell{{clean(s.ID), "title"}, {clean(s.Outcome), s.look()}, {}, {}, {}, {took(s.Took), ""}})
		for _, a := range s.Attempts {
			rows = append(rows, []cell{
				{"  " + clean(a.ID), ""}, {a.shown(), a.look()}, {a.refusal(), ""},
				{clean(a.By), ""}, {a.Window.short(), ""}, {took(a.Took), ""},
			})
		}
	}
	drop := map[int]bool{3: p.columns() < wide || empty(rows, 3), 4: empty(rows, 4)}
	head = without(head, drop)
	for i := range rows {
		rows[i] = without(rows[i], drop)
	}
	return p.lay(head, rows, p.widths(head, rows))
}

func empty(rows [][]cell, column int) bool {
	for _, r := range rows {
		if r[column].text != "" {
			return false
		}
	}
	return true
}

func without[T any](row []T, drop map[int]bool) (kept []T) {
	for i, c := range row {
		if !drop[i] {
			kept = append(kept, c)
		}
	}
	return kept
}

// lay draws a table with columns of these widths, which include two blanks between
// columns.
func (p Page) lay(head []string, rows [][]cell, widths []int) string {
	t := table.New().Headers(head...).Wrap(true).
		Border(lipgloss.NormalBorder()).BorderStyle(p.faint()).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
		BorderColumn(false).BorderHeader(true).
		StyleFunc(func(row, col int) lipgloss.Style {
			s := p.bold()
			if row != table.HeaderRow {
				s = p.cellStyle(rows[row][col])
			}
			if col < len(widths)-1 {
				s = s.PaddingRight(2)
			}
			return s.Width(widths[col])
		})
	for _, r := range rows {
		texts := make([]string, len(r))
		for i, c := range r {
			texts[i] = fold(c.text, widths[i]-2)
		}
		t.Row(texts...)
	}
	return t.String()
}

func (p Page) cellStyle(c cell) lipgloss.Style {
	switch c.outcome {
	case "":
		return lipgloss.NewStyle()
	case "title":
		return p.bold()
	default:
		return p.style(c.outcome)
	}
}

// fold wraps a cell to at most three lines; further lines keep its indent.
func fold(text string, width int) string {
	body := strings.TrimLeft(text, " ")
	indent := text[:len(text)-len(body)]
	lines := strings.Split(wrap(body, width-len(indent)), "\n")
	if len(lines) > 3 {
		lines = lines[:3]
		last := []rune(strings.TrimRight(lines[2], " "))
		if len(last) >= width-len(indent) {
			last = last[:width-len(indent)-1]
		}
		lines[2] = string(last) + "…"
	}
	return indent + strings.Join(lines, "\n"+indent)
}

// widths gives every column the width of its text plus two blanks, up to a limit.
// If the table is too wide for the page, the column of refusals is narrowed.
func (p Page) widths(head []string, rows [][]cell) []int {
	widths := make([]int, len(head))
	total := 0
	for i := range head {
		need := lipgloss.Width(head[i])
		for _, r := range rows {
			need = max(need, lipgloss.Width(r[i].text))
		}
		widths[i] = min(need+2, p.limit(head[i]))
		total += widths[i]
	}
	if over := total - p.columns(); over > 0 {
		widths[2] = max(widths[2]-over, 12)
	}
	return widths
}

// limit is how wide a column may become.
func (p Page) limit(head string) int {
	switch head {
	case "SCENARIO":
		return p.columns() * 3 / 8
	case "VERDICT":
		if p.columns() < wide {
			return 14
		}
		return 26
	case "BY", "EXPOSURE", "EXPOSURE WINDOW":
		return max(p.columns()/6, 14)
	default:
		return p.columns()
	}
}

// took is a time, empty when zero.
func took(s Seconds) string {
	if s == 0 {
		return ""
	}
	return span(s)
}
