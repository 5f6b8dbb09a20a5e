"""The texts that the tokenizer oracles run over: English, Japanese and other scripts, spaces of every kind,
digits, clitics, code, emoji, combining and control characters."""

TEXTS = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", " \n", "\n \n\t\n", "\r\n", "a\r\n\r\nb", "a \n b", "a  b   c    d",
    "Hello", " Hello", "  Hello", "Hello ", "Hello  ", "Hello world", "Hello, world!", "HELLO WORLD", "hElLo WoRLd",
    "I'm sure they'll say we've, he'd, it's, you're, don't", "I'M SURE THEY'LL SAY WE'VE, HE'D, IT'S, DON'T",
    "'s 't 'RE '", "can\u2019t won\u2019t", "'\u017fong", "The king said: \"To be, or not to be?\"",
    "0", "12", "123", "1234", "12345", "123456789012", "3.14159", "1,234,567.89", "v1.2.3-rc4", "２０２６年１月３１日",
    "\u0663\u0664\u0665 \u2155 \u2167 x\u00b2", "http://example.com/a/b?c=d&e=f#g", "foo_bar(baz[0], *args) -> {x: 1};",
    "    if (x == 0) {\n\t\treturn y++;\n    }\n", "#include <stdio.h>\r\nint main(void)\r\n{\r\n}\r\n",
    "a/b//c///d", "---- ==== ....", "!?!?...", "$100 + 50% = <ok> ^_^ ~`|", "C++ & C#", "<|im_start|>user",
    "</s><s>", "[INST] hi [/INST]", "吾輩は猫である。名前はまだ無い。", "東京都に住んでいます。", "カタカナとひらがな、漢字！",
    "ﾊﾝｶｸ ｶﾅ", "全角　スペース", "ＡＢＣａｂｃ１２３", "㍿ ㌔ ① Ⅳ ﬁ", "が ぱ ヴ", "か\u3099 は\u309a", "「引用」（括弧）〜〜〜ー",
    "我想在apple工作1314151天～", "한국어 문장입니다.", "\u1112\u1161\u11ab\u1100\u1173\u11af", "Привет, мир!", "нещо на Български",
    "Ελληνικά γλώσσα", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "កាន់តែពិសេសអាច",
    "naïve café résumé", "nai\u0308ve cafe\u0301", "Việt Nam Vie\u0302\u0301t", "Straße ŒUVRE ǅungla İstanbul",
    "àààààààààààààààà", "🚀 (normal) 😶‍🌫️ ✅ 🦙🦙", "👩‍👩‍👧‍👦🇯🇵🏳️‍🌈", "\u00a0nbsp\u00a0", "\u2003em\u2003space", "\u200bzero\u200bwidth",
    "\u2028line\u2029para", "\u180emvs\u180e", "\u0085nel\u0085", "\x0bvt\x0cff", "\x1cfs\x1f", "nul\x00 bel\x07 del\x7f",
    "\ufeffbom", "\ufffd replacement", "\U0001d54f\U0001d550 math", "\U000e0041tag", "\u2581under\u2581score", "▁",
    "a" * 40, "ab" * 30, " " * 33, "\n" * 17, "=" * 70, "あ" * 25, "1" * 25, "word " * 12, "Mixed混合テキスト123abcカナ",
    "x\n\n\n\ny\n \nz \n  \n", "tab\tand  space\t \tmix", "trailing space \n", "e.g. i.e. U.S.A. Mr. O'Neil's",
    "snake_case camelCase PascalCase SCREAMING_CASE", "JSON: {\"a\": [1, 2.5, null, true], \"b\": \"\\u3042\"}",
]
