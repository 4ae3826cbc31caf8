// Command commits checks the messages of this repository's commits: a subject
// of at most 72 characters in the imperative, and a body that says why. make
// lint runs it. Where there is no history to check, it says so and succeeds.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// base is the last commit that was made before there was this rule.
const base = "ba1c6109a5a8cbfe451e7ad2505001c09b0fd6b4"

// longest is the most characters of a subject.
const longest = 72

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := check(ctx, ".", base, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check checks the commits after since in the repository at dir.
func check(ctx context.Context, dir, since string, out io.Writer) error {
	if _, err := git(ctx, dir, "merge-base", "--is-ancestor", since, "HEAD"); err != nil {
		fmt.Fprintf(out, "commit messages: not checked, since git shows no history back to %.7s (%s)\n", since, err)
		return nil
	}
	raw, err := git(ctx, dir, "log", "--no-merges", "--format=%h%n%B%x00", since+"..HEAD")
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	var wrong []error
	for commit := range strings.SplitSeq(raw, "\x00") {
		id, message, _ := strings.Cut(strings.TrimSpace(commit), "\n")
		if id == "" {
			continue
		}
		subject, _, _ := strings.Cut(message, "\n")
		if all := faults(message); len(all) > 0 {
			wrong = append(wrong, fmt.Errorf("commit %s %q: %s", id, subject, strings.Join(all, "; ")))
		}
	}
	return errors.Join(wrong...)
}

// git runs git; the error has git's own words.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return "", fmt.Errorf("git %s: %w %s", args[0], err, first)
	}
	return out.String(), nil
}

// faults says what is wrong with a commit's message.
func faults(message string) []string {
	subject, body, _ := strings.Cut(strings.TrimSpace(message), "\n")
	var out []string
	if n := utf8.RuneCountInString(subject); n > longest {
		out = append(out, fmt.Sprintf("the subject has %d characters, %d at most", n, longest))
	}
	if strings.HasSuffix(subject, ".") {
		out = append(out, "the subject ends with a full stop")
	}
	if word, _, _ := strings.Cut(subject, " "); !imperative(word) {
		out = append(out, fmt.Sprintf("%q is no imperative with a capital, such as Add or Mend", word))
	}
	if says := strings.TrimSpace(trailers().ReplaceAllString(body, "")); says == "" {
		out = append(out, "there is no body that says why")
	} else if !strings.HasPrefix(body, "\n") {
		out = append(out, "no empty line follows the subject")
	}
	return out
}

// trailers match lines such as Signed-off-by: somebody.
func trailers() *regexp.Regexp { return regexp.MustCompile(`(?m)^[A-Z][A-Za-z]*(-[A-Za-z]+)+: .*$`) }

// imperative tells what looks like added, adding or adds from what looks like add.
func imperative(word string) bool {
	first, _ := utf8.DecodeRuneInString(word)
	if !unicode.IsUpper(first) {
		return false
	}
	lower := strings.ToLower(word)
	if slices.Contains([]string{"bring", "embed", "exceed", "feed", "focus", "need", "seed", "speed", "string"}, lower) {
		return true
	}
	return !strings.HasSuffix(lower, "ed") && !strings.HasSuffix(lower, "ing") &&
		(!strings.HasSuffix(lower, "s") || strings.HasSuffix(lower, "ss"))
}
