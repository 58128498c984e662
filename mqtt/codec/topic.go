package codec

// ValidTopic checks a topic name (section 4.7): a valid string of at least one
// byte without wildcards. Error.Offset counts from the string's start.
func ValidTopic(topic []byte) error {
	if err := ValidString(topic); err != nil {
		return err
	}
	if clause, at, text := checkTopic(topic); clause != "" {
		return &Error{Clause: clause, Offset: at, Text: text}
	}
	return nil
}

// ValidFilter checks a topic filter (section 4.7): a valid string of at least
// one byte in which # stands alone on the last level and + alone on its level.
// Error.Offset counts from the string's start.
func ValidFilter(filter []byte) error {
	if err := ValidString(filter); err != nil {
		return err
	}
	if clause, at, text := checkFilter(filter); clause != "" {
		return &Error{Clause: clause, Offset: at, Text: text}
	}
	return nil
}

func checkTopic(topic []byte) (clause string, at int, text string) {
	if len(topic) == 0 {
		return "[MQTT-4.7.3-1]", 0, "empty topic name"
	}
	for i, c := range topic {
		if c == '#' || c == '+' {
			return "[MQTT-3.3.2-2]", i, "wildcard in a topic name"
		}
	}
	return "", 0, ""
}

func checkFilter(filter []byte) (clause string, at int, text string) {
	if len(filter) == 0 {
		return "[MQTT-4.7.3-1]", 0, "empty topic filter"
	}
	for i, c := range filter {
		if c != '#' && c != '+' {
			continue
		}
		first := i == 0 || filter[i-1] == '/'
		last := i == len(filter)-1
		switch {
		case c == '#' && !(first && last):
			return "[MQTT-4.7.1-2]", i, "# is not alone on the last level"
		case c == '+' && !(first && (last || filter[i+1] == '/')):
			return "[MQTT-4.7.1-3]", i, "+ is not alone on its level"
		}
	}
	return "", 0, ""
}

// Match reports whether a valid topic filter covers a valid topic name.
// Filters that start with a wildcard do not cover names that start with $
// [MQTT-4.7.2-1]; "a/#" covers "a" (section 4.7.1.2).
func Match[F, T string | []byte](filter F, topic T) bool {
	if len(topic) > 0 && topic[0] == '$' && len(filter) > 0 && (filter[0] == '#' || filter[0] == '+') {
		return false
	}
	f, t := 0, 0
	for {
		// Both stand at the start of a level, or just behind the end.
		if f < len(filter) && filter[f] == '#' {
			return true
		}
		if f < len(filter) && filter[f] == '+' {
			f++
			for t < len(topic) && topic[t] != '/' {
				t++
			}
		} else {
			for f < len(filter) && filter[f] != '/' {
				if t >= len(topic) || topic[t] != filter[f] {
					return false
				}
				f++
				t++
			}
			if t < len(topic) && topic[t] != '/' {
				return false
			}
		}
		switch {
		case f >= len(filter) && t >= len(topic):
			return true
		case f >= len(filter):
			return false
		case t >= len(topic):
			// Only "/#" is left: the parent level matches too.
			return f+2 == len(filter) && filter[f+1] == '#'
		}
		f++
		t++
	}
}
