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
		if info.Name != typ.Field(i).Name || info.Text == "" || info.Source == "" {
			t.Errorf("description %d is %+v, the switch is %s", i, info, typ.Field(i).Name)
		}
		if !on.Field(i).Bool() || off.Field(i).Bool() {
			t.Errorf("%s: default %v, none %v", info.Name, on.Field(i), off.Field(i))
		}
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
