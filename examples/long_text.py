"""Read notes.md once into an index, then ask it without reading it again."""

import burnish

burnish.stream.ingest("smollm2-135m", "notes.md", index="notes-index")
for question in ("How many boats left on day 7?", "How far did the sea rise on day 3?"):
    answer = burnish.stream.ask("notes-index", question, max_new_tokens=16)
    print(question, answer["text"])
    print([span["text"][:60] for span in answer["spans"]])
