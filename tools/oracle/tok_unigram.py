#!/usr/bin/env python3
"""Token ids of SentencePiece models over tok_texts.py, by SentencePiece itself.

Needs: pip install sentencepiece protobuf, and the vocabularies (the folder `tokenizer` of the external test
data).
Run by hand from this folder: tok_unigram.py FOLDER; writes ../../tests/tok/data/sentencepiece.json:
{file name: [[ids of each text]], ..., "texts": [...]}.
T5's vocabulary comes as a tokenizer.json; it is put back into a SentencePiece model with T5's settings first.
"""
import base64
import json
import os
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tok_texts import TEXTS

MODELS = ["llm-jp-tokenizer-100k.ver3.1.model", "test_ja_model.model", "llama2.model"]


def t5_model(path):
    with open(path, encoding="utf-8") as f:
        d = json.load(f)
    m = sentencepiece_model_pb2.ModelProto()
    special = {a["id"] for a in d["added_tokens"]}
    for i, (piece, score) in enumerate(d["model"]["vocab"]):
        p = m.pieces.add(piece=piece, score=score)
        p.type = p.UNKNOWN if i == 2 else p.CONTROL if i in special else p.NORMAL
    m.trainer_spec.model_type = m.trainer_spec.UNIGRAM
    m.trainer_spec.unk_id, m.trainer_spec.bos_id = 2, -1
    m.trainer_spec.eos_id, m.trainer_spec.pad_id = 1, 0
    charsmap = d["normalizer"]["normalizers"][0]["precompiled_charsmap"]
    m.normalizer_spec.precompiled_charsmap = base64.b64decode(charsmap)
    m.normalizer_spec.add_dummy_prefix = True
    m.normalizer_spec.remove_extra_whitespaces = True
    m.normalizer_spec.escape_whitespaces = True
    return m.SerializeToString()


def main(folder):
    found = {}
    for name in MODELS:
        sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, name))
        found[name] = [sp.encode(t) for t in TEXTS]
    t5 = sentencepiece.SentencePieceProcessor(model_proto=t5_model(os.path.join(folder, "t5_tokenizer.json")))
    found["t5_tokenizer.json"] = [t5.encode(t) for t in TEXTS]
    with open("../../tests/tok/data/sentencepiece.json", "w", encoding="utf-8") as f:
        f.write('{"oracle": "sentencepiece %s",\n' % sentencepiece.__version__)
        for name, ids in found.items():
            f.write(' "%s": %s,\n' % (name, json.dumps(ids, separators=(",", ":"))))
        f.write(' "texts": %s\n}\n' % json.dumps(TEXTS))


main(sys.argv[1])
