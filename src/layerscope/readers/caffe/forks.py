"""What forks of Caffe added to its messages, in the notation of `messages.py` without the numbers.

Forks gave the same numbers to different fields (137 is `upsample_param` in SegNet and
`embed_param` at BVLC), so only the names are known here: a text definition tells what it means, a
binary one does not.  The names, types and defaults are those of SSD, Fast and Faster R-CNN, R-FCN,
DeepLab, PSPNet, SegNet, DeconvNet, ShuffleNet, YOLO's and NVIDIA's versions of `caffe.proto`.
"""

from __future__ import annotations

FORK_ENUMS = {
    "CodeType": "CORNER=1 CENTER_SIZE=2 CORNER_SIZE=3",
    "BNMode": "LEARN=0 INFERENCE=1",
    "UnpoolMethod": "MAX=0 AVE=1 TILE=2",
}

_LAYER = """
    permute_param PermuteParameter
    norm_param NormalizeParameter
    prior_box_param PriorBoxParameter
    detection_output_param DetectionOutputParameter
    roi_pooling_param ROIPoolingParameter
    psroi_pooling_param PSROIPoolingParameter
    proposal_param ProposalParameter
    interp_param InterpParameter
    upsample_param UpsampleParameter
    unpooling_param UnpoolingParameter
    bn_param BNParameter
    shuffle_channel_param ShuffleChannelParameter
    reorg_param ReorgParameter
    relu6_param EngineParameter
    mish_param EngineParameter
    hard_sigmoid_param HardSigmoidParameter
    hardsigmoid_param HardSigmoidParameter
    hardsigmoid_parm HardSigmoidParameter
    hard_swish_param EngineParameter
    hardswish_param EngineParameter
    hardswish_parm EngineParameter
"""

FORK_FIELDS = {
    "LayerParameter": _LAYER,
    "V1LayerParameter": _LAYER,
    "BatchNormParameter": """
        scale_filler FillerParameter
        bias_filler FillerParameter
        scale_bias bool = false
    """,
}

FORK_MESSAGES = {
    # --- SSD ---
    "PermuteParameter": """
        order uint32*
    """,
    "NormalizeParameter": """
        across_spatial bool = true
        scale_filler FillerParameter
        channel_shared bool = true
        eps float = 1e-10
    """,
    "PriorBoxParameter": """
        min_size float*
        max_size float*
        aspect_ratio float*
        flip bool = true
        clip bool = false
        variance float*
        img_size uint32
        img_h uint32
        img_w uint32
        step float
        step_h float
        step_w float
        offset float = 0.5
    """,
    "NonMaximumSuppressionParameter": """
        nms_threshold float = 0.3
        top_k int32
        eta float = 1
    """,
    "SaveOutputParameter": """
        output_directory string
        output_name_prefix string
        output_format string
        label_map_file string
        name_size_file string
        num_test_image uint32
    """,
    "DetectionOutputParameter": """
        num_classes uint32
        share_location bool = true
        background_label_id int32 = 0
        nms_param NonMaximumSuppressionParameter
        save_output_param SaveOutputParameter
        code_type CodeType = CORNER
        variance_encoded_in_target bool = false
        keep_top_k int32 = -1
        confidence_threshold float
        visualize bool = false
        visualize_threshold float
        save_file string
        objectness_score float
        normalized_bbox bool = true
    """,
    # --- R-CNN and R-FCN ---
    "ROIPoolingParameter": """
        pooled_h uint32 = 0
        pooled_w uint32 = 0
        spatial_scale float = 1
    """,
    "PSROIPoolingParameter": """
        spatial_scale float
        output_dim int32
        group_size int32
    """,
    "ProposalParameter": """
        feat_stride uint32 = 16
        base_size uint32 = 16
        min_size uint32 = 16
        ratio float*
        scale float*
        pre_nms_topn uint32 = 6000
        post_nms_topn uint32 = 300
        nms_thresh float = 0.7
        score_thresh float
        anchor_base_size int32
        anchor_scale int32
        anchor_ratio int32
        max_rois int32
        iou_threshold float
        output_actual_rois_num bool = false
    """,
    # --- segmentation ---
    "InterpParameter": """
        height int32 = 0
        width int32 = 0
        zoom_factor int32 = 1
        shrink_factor int32 = 1
        pad_beg int32 = 0
        pad_end int32 = 0
    """,
    "UpsampleParameter": """
        scale float = 1
        scale_h uint32
        scale_w uint32
        pad_out_h bool = false
        pad_out_w bool = false
        upsample_h uint32
        upsample_w uint32
        stride uint32
    """,
    "UnpoolingParameter": """
        unpool UnpoolMethod = MAX
        pad uint32 = 0
        pad_h uint32
        pad_w uint32
        kernel_size uint32
        kernel_h uint32
        kernel_w uint32
        stride uint32 = 1
        stride_h uint32
        stride_w uint32
        unpool_size uint32
        unpool_h uint32
        unpool_w uint32
    """,
    "BNParameter": """
        slope_filler FillerParameter
        bias_filler FillerParameter
        momentum float
        eps float = 1e-5
        frozen bool = false
        engine Engine = DEFAULT
        scale_filler FillerParameter
        shift_filler FillerParameter
        bn_mode BNMode = LEARN
        var_eps float = 1e-9
        decay float
        moving_average bool = true
    """,
    # --- small nets, YOLO ---
    "ShuffleChannelParameter": """
        group uint32 = 1
    """,
    "ReorgParameter": """
        stride uint32
        reverse bool = false
    """,
    "EngineParameter": """
        engine Engine = DEFAULT
    """,
    "HardSigmoidParameter": """
        alpha float
        beta float = 0.5
        engine Engine = DEFAULT
    """,
}
