#!/usr/bin/env bash
# llama-index-core 0.14.25 with pydantic 2.14.4: an agent's chat memory cannot be written down once it holds a message.
#
# Expected: ChatMemoryBuffer.to_string() gives JSON that from_string() reads, with and without messages; so does
# model_dump_json() of its SimpleChatStore. That is how an agent's memory is kept between two runs of a program.
# Seen: both work while there is no message. With one they raise PydanticSerializationError: the store's own serialiser
# calls the next one with an argument that pydantic does not take. Messages by themselves can be written, so the way round is to keep
# those of get_all() and to make a new memory from them.
#
# Output seen:
#   empty: written and read
#   one message, memory: PydanticSerializationError
#   one message, store: PydanticSerializationError
#   messages by themselves: written and read
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check llama-index-core==0.14.25 pydantic==2.14.4

cat > "$folder/memory.py" <<'PYTHON'
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer

WAYS = {
    "memory": lambda memory: ChatMemoryBuffer.from_string(memory.to_string()),
    "store": lambda memory: memory.chat_store.model_dump_json(),
}


def tried(call, memory):
    try:
        call(memory)
    except Exception as error:
        return type(error).__name__
    return "written and read"


memory = ChatMemoryBuffer.from_defaults()
print("empty:", tried(WAYS["memory"], memory))
memory.put(ChatMessage(role="user", content="Who found radium?"))
for name, call in WAYS.items():
    print(f"one message, {name}:", tried(call, memory))


def by_themselves(memory):
    kept = [one.model_dump_json() for one in memory.get_all()]
    again = ChatMemoryBuffer.from_defaults(chat_history=[ChatMessage.model_validate_json(one) for one in kept])
    assert again.get_all() == memory.get_all()


print("messages by themselves:", tried(by_themselves, memory))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/memory.py" 2>/dev/null)
echo "$seen"

[ "$seen" = "empty: written and read
one message, memory: PydanticSerializationError
one message, store: PydanticSerializationError
messages by themselves: written and read" ] || { echo "changed"; exit 1; }
echo "as described"
