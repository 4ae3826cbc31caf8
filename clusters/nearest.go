package clusters

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

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
