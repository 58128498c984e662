package embedded

import (
	"hilnet/trace"

	"reflect"
	"testing"
)

func TestEveryQuirkIsDescribedAndOnByDefault(t *testing.T) {
	infos := QuirkInfos()
	typ, on, off := reflect.TypeFor[Quirks](), reflect.ValueOf(DefaultQuirks()), reflect.ValueOf(NoQuirks())
	if typ.NumField() != len(infos) {
		t.Fatalf("%d switches, %d descriptions", typ.NumField(), len(infos))
	}
	for i, info := range infos {
		var q Quirks
		if err := q.Set(info.Name, true); err != nil || info.Text == "" || info.Source == "" {
			t.Errorf("description %d is %+v: %v", i, info, err)
		}
		if !reflect.ValueOf(q).Field(i).Bool() {
			t.Errorf("%s switches another field than %s", info.Name, typ.Field(i).Name)
		}
		if !on.Field(i).Bool() || off.Field(i).Bool() {
			t.Errorf("%s: default %v, none %v", info.Name, on.Field(i), off.Field(i))
		}
	}
}

func TestAnUnknownQuirkIsAnError(t *testing.T) {
	q := DefaultQuirks()
	if err := q.Set("silent_rest", false); err == nil || q != DefaultQuirks() {
		t.Errorf("%v, %+v", err, q)
	}
}

func TestEveryReasonIsExplained(t *testing.T) {
	for _, reason := range []string{
		string(DropReassembly), string(DropDuplicate), string(DropOutOfWindow), string(DropBadAck), string(DropState),
		string(DropOutOfOrder), string(DropFlushed), string(DropUDPQueue), string(DropARPTable), string(DropBacklog),
	} {
		if _, ok := trace.Explain(reason); !ok {
			t.Errorf("%s is not explained", reason)
		}
	}
}
