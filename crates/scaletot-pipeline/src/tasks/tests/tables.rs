//! Small tables in the published form.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Name of the published file.
pub(super) const HILLSTROM: &str =
    "Kevin_Hillstrom_MineThatData_E-MailAnalytics_DataMiningChallenge_2008.03.20.csv";
const HILLSTROM_HEADER: &str =
    "recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend";

pub(super) fn write(path: impl AsRef<Path>, text: &str) -> PathBuf {
    fs::write(path.as_ref(), text).unwrap();
    path.as_ref().to_owned()
}

pub(super) fn gzipped(path: impl AsRef<Path>, text: &str) {
    let mut file = GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast());
    file.write_all(text.as_bytes()).unwrap();
    file.finish().unwrap();
}

/// A small table in the published form, CRLF and all; the shares of the arms are as published.
pub(super) fn hillstrom(rows: usize) -> String {
    let arms = ["Womens E-Mail", "No E-Mail", "Mens E-Mail"];
    let row = |i: usize| {
        let (recency, mens, history) = (i % 12 + 1, i % 2, 29.99 + 10.0 * i as f64);
        let segment = ["1) $0 - $100", "2) $100 - $200"][usize::from(history >= 100.0)];
        let (arm, spend) = (arms[i % 3], if i.is_multiple_of(5) { "29.5" } else { "0" });
        format!("{recency},{segment},{history},{mens},1,Surburban,0,Multichannel,{arm},1,0,{spend}\r\n")
    };
    (0..rows).fold(format!("{HILLSTROM_HEADER}\r\n"), |text, i| text + &row(i))
}

/// A small table as `tasks/bank/build.py` makes it, with the publisher's word for what is missing.
pub(super) fn bank(rows: usize) -> String {
    let row = |i: usize| {
        let (age, balance) = (20 + i, 100 * i as i64 - 1000);
        let (job, education) = [("management", "tertiary"), ("unknown", "unknown")][i % 2];
        let subscribed = u8::from(i % 12 == 3);
        format!("{},{age},{job},married,{education},no,{balance},no,yes,{subscribed}\n", i + 1)
    };
    let header = "client_id,age,job,marital,education,default,balance,housing,loan,subscribed\n";
    (0..rows).fold(header.to_owned(), |text, i| text + &row(i))
}

/// The published files of `KuaiRand`, for users 1, 2 and 4; user 3 is in a log only.
pub(super) fn kuairand(directory: &Path) {
    let codes: String = (0..18).map(|code| format!(",onehot_feat{code}")).collect();
    let mut users = format!(
        "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,follow_user_num_range,\
         fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,register_days_range{codes}\n"
    );
    for (id, streams, missing) in [(1, "-124", false), (2, "1", false), (4, "-124", true)] {
        let code = |code| match code {
            2 => ",2",
            3 => ",1160",
            7 => ",13",
            8 => ",82",
            4 | 12.. if missing => ",",
            4 | 12.. => ",1.0",
            _ => ",0",
        };
        let codes: String = (0..18).map(code).collect();
        users +=
            &format!("{id},full_active,0,{streams},1,15,\"(10,50]\",2,\"[1,10)\",0,0,231,181-365{codes}\n");
    }
    write(directory.join("user_features_pure.csv"), &users);
    let header = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,\
                  play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n";
    let log = |events: &[(i64, u32)]| {
        events.iter().fold(header.to_owned(), |text, (user, date)| {
            text + &format!("{user},7,{date},1600,1649408076860,1,0,0,0,0,0,1,1500,87433,0,0,0,0,1\n")
        })
    };
    // User 2 has fifteen events before the window, so is not of low activity.
    let before = [(2, 20_220_410); 15];
    write(directory.join("log_standard_4_08_to_4_21_pure.csv"), &log(&before));
    let later = [
        (1, 20_220_424),
        (1, 20_220_425),
        (1, 20_220_425),
        (1, 20_220_508),
        (2, 20_220_430),
        (3, 20_220_425),
    ];
    gzipped(directory.join("log_standard_4_22_to_5_08_pure.csv.gz"), &log(&later));
}
