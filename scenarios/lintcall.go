package scenarios

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/suggest"
)

// call checks that an attack exists and takes its parameters.
func (l *linter) call(at trail, name string, with map[string]any) {
	attack, ok := l.attack(at.at("attack"), name)
	if !ok || !l.parameters(at.at("with"), attack, with) {
		return
	}
	for _, wrong := range contradictions(attack, with) {
		l.say(at.at("with"), "%s: %s", name, wrong)
	}
}

// pair checks an attempt and its twin. The twin has most of its parameters
// from the attempt, and what is wrong with those is said once.
func (l *linter) pair(at, twin trail, s Scenario, a Attempt) {
	attack, ok := l.attack(at.at("attack"), a.Attack)
	if !ok {
		return
	}
	with := at.at("with")
	fine := l.parameters(with, attack, a.With)
	own := contradictions(attack, a.With)
	call := s.TwinOf(a)
	if call.Attack != a.Attack {
		l.otherTwin(twin, attack, *call)
	} else if patch, _ := s.patchOf(a); !l.parameters(twin, attack, patch) {
		fine = false
	}
	if !fine {
		return
	}
	for _, wrong := range own {
		l.say(with, "%s: %s", a.Attack, wrong)
	}
	if call.Attack != a.Attack {
		return
	}
	for _, wrong := range contradictions(attack, call.With) {
		if !slices.Contains(own, wrong) {
			l.say(twin, "the twin, %s with what the attempt has: %s", a.Attack, wrong)
		}
	}
}

// otherTwin checks a twin that is another attack: only where both ask the same
// server in the same way does it show that the way was open.
func (l *linter) otherTwin(twin trail, attack attacker.Attack, call Call) {
	at := append(slices.Clone(twin[:len(twin)-1]), "twinAttack")
	other, ok := l.attack(at, call.Attack)
	if !ok {
		return
	}
	if !submits(attack) || !submits(other) {
		l.say(at, "%s is no twin of %s: only attacks that submit something to the platform may be each other's", call.Attack, attack.Name())
		return
	}
	if !l.parameters(twin, other, call.With) {
		return
	}
	for _, wrong := range contradictions(other, call.With) {
		l.say(twin, "the twin, %s: %s", call.Attack, wrong)
	}
}

func submits(a attacker.Attack) bool {
	s, ok := a.Example().(attacker.Submitter)
	return ok && s.Submits()
}

func (l *linter) attack(at trail, name string) (attacker.Attack, bool) {
	attack, ok := l.rules.attack(name)
	if !ok {
		l.known(at, "attack", name, l.rules.attackNames()...)
	}
	return attack, ok
}

// contradictions are what an attack says of parameters that are each fine.
func contradictions(attack attacker.Attack, with map[string]any) []string {
	raw, err := EncodeParameters(with)
	if err == nil {
		_, err = attack.Decode(raw)
	}
	if err == nil {
		return nil
	}
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // the attack's name is said by who asks
	}
	return strings.Split(err.Error(), "\n")
}

// parameters checks every parameter by itself, so that each mistake has its
// place: names against the attack's parameter struct, and values against the
// types of its fields.
func (l *linter) parameters(at trail, attack attacker.Attack, with map[string]any) bool {
	return l.fields(at, attack.Name(), "", reflect.TypeOf(attack.Example()), with)
}

func (l *linter) fields(at trail, attack, prefix string, t reflect.Type, with map[string]any) bool {
	fields := fieldsOf(t)
	names := slices.Collect(maps.Keys(fields))
	slices.Sort(names)
	fine := true
	for _, name := range slices.Sorted(maps.Keys(with)) {
		field, ok := fields[name]
		if !ok {
			l.misnamed(at.at(name), "%s has no parameter %q%s", attack, prefix+name, suggest.Text(name, names))
			fine = false
			continue
		}
		if with[name] == nil {
			continue // in a twin it takes the field away
		}
		if sub, ok := with[name].(map[string]any); ok && nested(field) {
			fine = l.fields(at.at(name), attack, prefix+name+".", field, sub) && fine
			continue
		}
		if err := fits(with[name], field); err != nil {
			l.say(at.at(name), "%s of %s: %v", prefix+name, attack, err)
			fine = false
		}
	}
	return fine
}

// nested says whether a type is a struct that is read field by field.
func nested(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
}

// fieldsOf are the types of a struct's JSON fields by name, without those that
// only the fixture fills.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	out := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "" && name != "-" && !slices.Contains(filled(), name) {
			out[name] = f.Type
		}
	}
	return out
}

// filled are the fields of loot that the fixture fills and no file may hold.
func filled() []string { return []string{"held", "publicPem"} }

// fits says why a value from a file cannot be a parameter of a type.
func fits(value any, t reflect.Type) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	err = json.Unmarshal(raw, reflect.New(t).Interface())
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		return fmt.Errorf("it takes %s, not %s", article(t), raw)
	}
	return err
}

// article names a type for people.
func article(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "fields"
	default:
		return "a number"
	}
}
