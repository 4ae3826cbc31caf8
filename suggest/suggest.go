// Package suggest finds the name that somebody meant who misspelt it.
package suggest

import "fmt"

// Text is " (did you mean ...?)" with the known name that is nearest to a
// misspelt one, or nothing. A known name in the wrong place was not misspelt.
func Text(got string, known []string) string {
	if near := Nearest(got, known); near != "" && near != got {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}

// Nearest is the known name that a misspelt one most likely meant, or "".
func Nearest(got string, known []string) string {
	best, most := "", max(1, len(got)/3)
	for _, k := range known {
		if d := distance(got, k); d <= most {
			best, most = k, d-1
		}
	}
	return best
}

// distance is how many bytes have to be changed, added or dropped, or
// neighbours swapped, to make b out of a, when nothing is touched twice
// (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, row[j]+1, last[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
