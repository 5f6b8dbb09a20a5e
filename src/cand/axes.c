// The built-in axes, as data: what a profile without axes of its own has. Their replies are what is shown when nothing
// better is ready.
#include "cand/own.h"

const char cand_axes_en[] =
    "[{\"id\":\"agree\",\"tag\":\"(agrees)\",\"cues\":[\"would you like\",\"do you want\",\"shall we\",\"is it ok\"],"
    "\"defaults\":[\"Yes, please.\",\"That sounds good.\",\"I agree.\"]},"
    "{\"id\":\"refuse\",\"tag\":\"(refuses)\",\"way_out\":true,\"cues\":[\"would you like\",\"do you want\",\"shall we\"],"
    "\"defaults\":[\"No, thank you.\",\"Not now, please.\",\"I would rather not.\"]},"
    "{\"id\":\"ask\",\"tag\":\"(asks)\",\"weight\":0.5,\"cues\":[\"i went\",\"we will\",\"guess\",\"news\"],"
    "\"defaults\":[\"Can you tell me more?\",\"Why is that?\",\"What do you think?\"]},"
    "{\"id\":\"request\",\"tag\":\"(requests)\",\"weight\":0.4,\"cues\":[\"need\",\"help\",\"anything\",\"get you\"],"
    "\"defaults\":[\"Could you help me, please?\",\"Please wait a moment.\",\"Please say that again.\"]},"
    "{\"id\":\"feel\",\"tag\":\"(feels)\",\"weight\":0.3,\"cues\":[\"how are you\",\"feel\",\"tired\",\"sleep\",\"pain\"],"
    "\"defaults\":[\"I am fine, thank you.\",\"I am a little tired.\",\"That makes me happy.\"]},"
    "{\"id\":\"tell\",\"tag\":\"(tells)\",\"weight\":0.2,\"cues\":[\"what did you\",\"tell me\",\"where\",\"who\",\"when\"],"
    "\"defaults\":[\"I will tell you later.\",\"Let me think about it.\",\"It is a long story.\"]},"
    "{\"id\":\"turn\",\"tag\":\"(changes the subject)\",\"way_out\":true,\"weight\":0.1,\"cues\":[],"
    "\"defaults\":[\"By the way, how are you?\",\"Let us talk about something else.\",\"May I ask something different?\"]}]";

const char cand_axes_ja[] =
    "[{\"id\":\"agree\",\"tag\":\"（賛成）\",\"cues\":[\"ますか\",\"どう\",\"しようか\",\"いい?\",\"いい？\"],"
    "\"defaults\":[\"はい、お願いします。\",\"いいですね。\",\"そう思います。\"]},"
    "{\"id\":\"refuse\",\"tag\":\"（断る）\",\"way_out\":true,\"cues\":[\"ますか\",\"しようか\",\"どう\"],"
    "\"defaults\":[\"いいえ、結構です。\",\"今はやめておきます。\",\"遠慮します。\"]},"
    "{\"id\":\"ask\",\"tag\":\"（尋ねる）\",\"weight\":0.5,\"cues\":[\"行って\",\"今度\",\"聞いた\"],"
    "\"defaults\":[\"もっと聞かせてくれますか？\",\"どうしてですか？\",\"どう思いますか？\"]},"
    "{\"id\":\"request\",\"tag\":\"（頼む）\",\"weight\":0.4,\"cues\":[\"手伝\",\"何か\",\"必要\"],"
    "\"defaults\":[\"手伝ってもらえますか？\",\"少し待ってください。\",\"もう一度言ってください。\"]},"
    "{\"id\":\"feel\",\"tag\":\"（気持ち）\",\"weight\":0.3,\"cues\":[\"元気\",\"気分\",\"疲れ\",\"眠\",\"痛\"],"
    "\"defaults\":[\"元気です、ありがとう。\",\"少し疲れました。\",\"うれしいです。\"]},"
    "{\"id\":\"tell\",\"tag\":\"（話す）\",\"weight\":0.2,\"cues\":[\"何を\",\"教えて\",\"どこ\",\"誰\",\"いつ\"],"
    "\"defaults\":[\"あとで話します。\",\"考えさせてください。\",\"長い話です。\"]},"
    "{\"id\":\"turn\",\"tag\":\"（話を変える）\",\"way_out\":true,\"weight\":0.1,\"cues\":[],"
    "\"defaults\":[\"ところで、お元気ですか？\",\"別の話をしましょう。\",\"違うことを聞いてもいいですか？\"]}]";
