// The markup of DeepSeek-V4 conversations.
#pragma once

#include <string_view>

namespace birkhoff::io {

inline constexpr std::string_view kBeginOfSentence = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view kEndOfSentence = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view kUser = "<｜User｜>";
inline constexpr std::string_view kAssistant = "<｜Assistant｜>";
inline constexpr std::string_view kLatestReminder = "<｜latest_reminder｜>";
inline constexpr std::string_view kThink = "<think>";
inline constexpr std::string_view kEndThink = "</think>";

// Tags go on with the name of an element.
inline constexpr std::string_view kDsml = "｜DSML｜";
inline constexpr std::string_view kOpenTag = "<｜DSML｜";
inline constexpr std::string_view kCloseTag = "</｜DSML｜";

}  // namespace birkhoff::io
